// A layout changes nothing: every router, capacity and dropless, all balance scopes, on ranks as
// threads.
#include <gtest/gtest.h>

#include "models/verify/difference.h"
#include "models/verify/layout_run.h"
#include "tests/support/law_cases.h"

namespace troupe::laws {
namespace {

class LayoutLaw : public ::testing::TestWithParam<NamedCase> {};

std::string layout_name(const LayoutCase& layout) {
  return "ranks " + std::to_string(layout.ranks) + ", ep " + std::to_string(layout.ep);
}

TEST_P(LayoutLaw, F64) {
  LayoutRun law{GetParam().engine};
  const LawResult alone = run_law_on_threads(law, 1);
  for (const LayoutCase& layout : kLayouts) {
    SCOPED_TRACE(layout_name(layout));
    law.ep = layout.ep;
    const LawResult spread = run_law_on_threads(law, layout.ranks);
    std::string where;
    EXPECT_LE(worst_difference(alone.losses, spread.losses), 1e-10);
    EXPECT_LE(worst_difference(alone.balance_losses, spread.balance_losses), 1e-10);
    EXPECT_LE(worst_difference(alone.z_losses, spread.z_losses), 1e-10);
    EXPECT_LE(worst_difference(alone.norms, spread.norms), 1e-10);
    EXPECT_LE(worst_difference(alone.gradients, spread.gradients, where), 1e-10)
        << "gradient of " << where;
    EXPECT_LE(worst_difference(alone.parameters, spread.parameters, where), 1e-10) << where;
    EXPECT_EQ(alone.counts, spread.counts);
  }
}

INSTANTIATE_TEST_SUITE_P(Routers, LayoutLaw, ::testing::ValuesIn(law_cases(DType::f64)),
                         [](const auto& info) { return info.param.name; });

class LayoutLawF32 : public ::testing::TestWithParam<NamedCase> {};

// One step with the assignment of one rank replayed: routing flips are taken out, what is left is
// rounding.
TEST_P(LayoutLawF32, Replayed) {
  for (const char* optimizer : {"sgd", "adamw"}) {
    LayoutRun law{GetParam().engine};
    law.steps = 1;
    law.engine.optimizer = optimizer;
    law.engine.optimizer_options = Options(optimizer_fields(optimizer));
    const LawResult alone = run_law_on_threads(law, 1);
    law.replay = &alone;
    for (const LayoutCase& layout : kLayouts) {
      SCOPED_TRACE(layout_name(layout) + ", " + optimizer);
      law.ep = layout.ep;
      const LawResult spread = run_law_on_threads(law, layout.ranks);
      std::string where;
      EXPECT_LE(worst_difference(alone.losses, spread.losses), 1e-5);
      EXPECT_LE(worst_difference(alone.norms, spread.norms), 1e-5);
      EXPECT_LE(worst_difference(alone.gradients, spread.gradients, where), 1e-5)
          << "gradient of " << where;
      const double tolerance = std::string(optimizer) == "sgd" ? 1e-5 : 1e-3;
      EXPECT_LE(worst_difference(alone.parameters, spread.parameters, where), tolerance) << where;
      EXPECT_EQ(alone.counts, spread.counts);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Routers, LayoutLawF32, ::testing::ValuesIn(law_cases(DType::f32)),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace troupe::laws
