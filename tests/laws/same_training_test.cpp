// What must change nothing but rounding on one layout: recomputation, and the size of
// micro-batches.
#include <gtest/gtest.h>

#include <algorithm>

#include "models/verify/layout_run.h"
#include "tests/support/law_cases.h"
#include "tests/support/law_check.h"

namespace troupe::laws {
namespace {

class SameTraining : public ::testing::TestWithParam<NamedCase> {};

LayoutRun case_of(const NamedCase& named) {
  LayoutRun law{named.engine};
  law.steps = 2;
  law.engine.model.dropout = 0.1;
  law.engine.model.recompute = false;
  return law;
}

TEST_P(SameTraining, WithRecomputation) {
  LayoutRun law = case_of(GetParam());
  const LawResult kept = run_law_on_threads(law, 1);
  law.engine.model.recompute = true;
  expect_same_training(kept, run_law_on_threads(law, 1), "recompute");
}

// Scope `microbatch` of balance terms is the only thing that reads the size.
TEST_P(SameTraining, WithOtherMicroBatches) {
  LayoutRun law = case_of(GetParam());
  std::vector<BalanceTerm>& terms = law.engine.model.moe[1]->balance;
  terms.erase(std::remove_if(
                  terms.begin(), terms.end(),
                  [](const BalanceTerm& term) { return term.scope == BalanceScope::microbatch; }),
              terms.end());
  law.engine.micro_batch = 36;
  const LawResult whole = run_law_on_threads(law, 1);
  for (const int64_t size : {3, 12}) {
    law.engine.micro_batch = size;
    expect_same_training(whole, run_law_on_threads(law, 1),
                         "micro-batches of " + std::to_string(size));
  }
}

INSTANTIATE_TEST_SUITE_P(Routers, SameTraining, ::testing::ValuesIn(law_cases(DType::f64)),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace troupe::laws
