// Groups of parameters are chosen by global names: no layout changes what they do.
#include <gtest/gtest.h>

#include "models/verify/difference.h"
#include "tests/support/law_check.h"

namespace troupe::laws {
namespace {

EngineConfig grouped_engine(const std::string& optimizer) {
  EngineConfig engine = small_engine(DType::f64, "topk");
  engine.model.heads = 4;
  engine.model.kv_heads = 2;
  engine.model.head_dim = 4;
  engine.model.tie_embeddings = true;
  engine.optimizer = optimizer;
  engine.optimizer_options = Options(optimizer_fields(optimizer));
  engine.parameter_groups = {{"*.router.*", 0.5, 0.0},
                             {"*.experts.*", 2.0, 0.2},
                             {"embedding.*", 0.25, {}},
                             {"layers.1.*", 1.5, 0.05}};
  return engine;
}

LawResult run(const EngineConfig& engine, const Parallelism& layout) {
  LayoutRun law{engine};
  law.steps = 3;
  law.layout = layout;
  return run_law_on_threads(law, layout.shape.world());
}

Parallelism sharded(const Degrees& degrees, int zero) {
  Parallelism layout(MeshShape::of(degrees));
  layout.zero = zero;
  return layout;
}

TEST(ParameterGroups, TrainTheSameOnEveryLayout) {
  for (const char* optimizer : {"adamw", "sgd"}) {
    const EngineConfig engine = grouped_engine(optimizer);
    const LawResult alone = run(engine, Parallelism());
    EngineConfig plain = engine;
    plain.parameter_groups.clear();
    std::string where;
    EXPECT_GT(worst_difference(alone.parameters, run(plain, Parallelism()).parameters, where), 1e-6)
        << "the groups do nothing";
    const auto expect = [&](const Parallelism& layout, const char* what) {
      expect_same_training(alone, run(engine, layout), std::string(optimizer) + ", " + what);
    };
    expect(sharded({.dp = 4, .ep = 2}, 1), "dp 4 ep 2 zero 1");
    expect(sharded({.dp = 4, .ep = 4}, 3), "dp 4 ep 4 zero 3");
    expect(sharded({.dp = 2, .tp = 2, .etp = 2}, 2), "dp 2 tp 2 etp 2 zero 2");
    expect(sharded({.pp = 2, .cp = 2, .ep = 2}, 0), "pp 2 cp 2 ep 2");
    expect(sharded({.pp = 2, .dp = 2, .tp = 2, .ep = 4}, 3), "pp 2 dp 2 tp 2 ep 4 zero 3");
    expect(sharded({.dp = 2, .cp = 2, .tp = 2, .ep = 4, .etp = 2}, 1),
           "dp 2 cp 2 tp 2 ep 4 etp 2 zero 1");
  }
}

}  // namespace
}  // namespace troupe::laws
