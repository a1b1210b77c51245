#include "moe/balance/batch_totals.h"

#include "core/base/error.h"

namespace troupe {

const BatchTotals& ExactBatch::totals() const {
  require(totals_.has_value(),
          "backward of a balance term of scope global_batch_exact before the batch is known");
  return *totals_;
}

void ExactBatch::set(BatchTotals totals) {
  totals_ = std::move(totals);
  for (const auto& f : waiting_) f(*totals_);
  waiting_.clear();
}

void ExactBatch::when_known(std::function<void(const BatchTotals&)> f) {
  if (totals_) {
    f(*totals_);
  } else {
    waiting_.push_back(std::move(f));
  }
}

}  // namespace troupe
