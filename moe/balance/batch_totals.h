// What a whole batch was routed like, for scope global_batch_exact: known only when all of its
// forwards are done, and needed when the first backward begins.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace troupe {

struct BatchTotals {
  std::vector<double> pairs;        // [E] that f counts, before drops
  std::vector<double> probability;  // [E] summed over valid tokens
  std::vector<double> load;         // [E]
  double tokens = 0.0;              // valid ones
};

// One step's totals and the losses that wait for them.
class ExactBatch {
 public:
  bool known() const { return totals_.has_value(); }
  // Throws (a bug) when backward comes before the totals.
  const BatchTotals& totals() const;
  // Tells all that wait.
  void set(BatchTotals totals);
  // Calls f as soon as the totals are known.
  void when_known(std::function<void(const BatchTotals&)> f);

 private:
  std::optional<BatchTotals> totals_;
  std::vector<std::function<void(const BatchTotals&)>> waiting_;
};

}  // namespace troupe
