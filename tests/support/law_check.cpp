#include "tests/support/law_check.h"

#include <gtest/gtest.h>

#include "models/verify/difference.h"

namespace troupe::laws {

void expect_same_training(const LawResult& reference, const LawResult& result,
                          const std::string& what) {
  std::string where;
  EXPECT_LE(worst_difference(reference.gradients, result.gradients, where), 1e-10)
      << what << ": gradient of " << where;
  EXPECT_LE(worst_difference(reference.parameters, result.parameters, where), 1e-10)
      << what << ": " << where;
  EXPECT_LE(worst_difference(reference.losses, result.losses), 1e-10) << what;
  EXPECT_LE(worst_difference(reference.balance_losses, result.balance_losses), 1e-10) << what;
  EXPECT_LE(worst_difference(reference.z_losses, result.z_losses), 1e-10) << what;
  EXPECT_LE(worst_difference(reference.norms, result.norms), 1e-10) << what;
  ASSERT_EQ(reference.terms.size(), result.terms.size()) << what;
  for (size_t step = 0; step < reference.terms.size(); ++step) {
    ASSERT_EQ(reference.terms[step].size(), result.terms[step].size()) << what;
    for (size_t i = 0; i < reference.terms[step].size(); ++i)  // some are zero but for rounding
      EXPECT_NEAR(reference.terms[step][i], result.terms[step][i], 1e-12) << what << ", term " << i;
  }
  EXPECT_EQ(reference.counts, result.counts) << what;
}

void expect_same_training(LayoutRun law, const LawResult& reference, const Parallelism& layout,
                          const std::string& what) {
  law.layout = layout;
  expect_same_training(reference, run_law_on_threads(law, layout.shape.world()), what);
}

}  // namespace troupe::laws
