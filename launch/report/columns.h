// The fields of a row as columns of numbers, under the names that the page's data uses.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "launch/report/run_data.h"

namespace troupe::report_page {

struct Column {
  std::string field;  // as in metrics.jsonl, "phase_ms.forward"; also "time_s" and "loss_mean"
  bool integer = false;
  // Of row i of the shown rows; NaN where the row has none.
  std::function<double(const RunData&, size_t)> value;
};

const std::vector<Column>& columns();
std::vector<double> values_of(const RunData& run, const std::string& field);

}  // namespace troupe::report_page
