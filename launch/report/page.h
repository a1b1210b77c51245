// The page itself: sections in their order, and the data that its script reads.
#pragma once

#include <string>
#include <vector>

#include "launch/report/run_data.h"

namespace troupe::report_page {

std::string page(const std::vector<RunData>& runs);

}  // namespace troupe::report_page
