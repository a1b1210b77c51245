// What one step does with its gradients, written out: the norm over every element, the clipping by
// it, the update, and the decay of everything but norms and biases.
#include <gtest/gtest.h>

#include <cmath>

#include "models/verify/layout_run.h"

namespace troupe::laws {
namespace {

bool decays(const std::string& name) {
  return name.find("norm") == std::string::npos && name.find("bias") == std::string::npos;
}

class OneStep : public ::testing::TestWithParam<double> {};

TEST_P(OneStep, ClipsByTheGlobalNormAndDecaysMatricesOnly) {
  LayoutRun law{small_engine(DType::f64, "topk")};
  law.engine.model.qk_norm = true;
  law.engine.model.attention_bias = true;
  law.engine.clip = GetParam();
  law.engine.lr = 0.03;
  law.engine.optimizer = "sgd";
  law.engine.optimizer_options = Options(optimizer_fields("sgd"));
  law.engine.optimizer_options.set("weight_decay", 0.5);
  law.engine.schedule_options.set("warmup", int64_t{0});
  law.steps = 0;
  const LawResult before = run_law_on_threads(law, 1);
  law.steps = 1;
  for (const int ranks : {1, 2}) {
    law.ep = ranks;
    const LawResult after = run_law_on_threads(law, ranks);
    double squares = 0.0;
    for (const NamedTensor& gradient : after.gradients) {
      for (const double g : gradient.values) squares += g * g;
    }
    const double norm = std::sqrt(squares);
    EXPECT_NEAR(after.norms[0] / norm, 1.0, 1e-12);
    const double clip = GetParam();
    const double scale = clip > 0.0 && norm > clip ? clip / norm : 1.0;
    EXPECT_EQ(scale < 1.0, clip == 0.5) << "norm " << norm;
    ASSERT_EQ(before.parameters.size(), after.gradients.size());
    for (size_t i = 0; i < before.parameters.size(); ++i) {
      const NamedTensor& value = before.parameters[i];
      ASSERT_EQ(value.name, after.gradients[i].name);
      ASSERT_EQ(value.name, after.parameters[i].name);
      const double kept = decays(value.name) ? 1.0 - 0.03 * 0.5 : 1.0;
      for (size_t j = 0; j < value.values.size(); ++j) {
        ASSERT_NEAR(after.parameters[i].values[j],
                    kept * value.values[j] - 0.03 * scale * after.gradients[i].values[j], 1e-13)
            << value.name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Clips, OneStep, ::testing::Values(0.0, 0.5, 1000.0));

}  // namespace
}  // namespace troupe::laws
