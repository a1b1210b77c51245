#include "core/optim/parameter_groups.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/random.h"
#include "core/optim/optimizer.h"

namespace troupe {
namespace {

TEST(ParameterGroups, PatternsAreThoseOfAShell) {
  const auto match = [](const char* pattern, const char* name) {
    return matches(ParameterGroup{pattern, 1.0, {}}, name);
  };
  EXPECT_TRUE(match("*.router.*", "layers.3.moe.router.weight"));
  EXPECT_FALSE(match("*.router", "layers.3.moe.router.weight"));  // the whole name
  EXPECT_FALSE(match("router", "layers.3.moe.router.weight"));
  EXPECT_TRUE(match("layers.[0-2].*", "layers.2.attention.q.weight"));
  EXPECT_FALSE(match("layers.[0-2].*", "layers.3.attention.q.weight"));
  EXPECT_TRUE(match("layers.?.attention*", "layers.2.attention_norm.weight"));
  EXPECT_FALSE(match("layers.?.*", "layers.12.attention.q.weight"));
}

TEST(ParameterGroups, TheFirstThatMatchesCounts) {
  const std::vector<ParameterGroup> groups = {{"a.b", 1.0, {}}, {"a.*", 1.0, {}}};
  EXPECT_EQ(group_of(groups, "a.b"), std::optional<size_t>(0));
  EXPECT_EQ(group_of(groups, "a.c"), std::optional<size_t>(1));
  EXPECT_EQ(group_of(groups, "b.a"), std::nullopt);
}

struct Example {
  const char* name;
  bool decays;
  double lr_scale;      // that the groups below give it
  double weight_decay;  // that it ends up with, of 0.3 for all
};

const std::vector<ParameterGroup> kGroups = {
    {"*.router.*", 0.5, 0.0}, {"layers.0.*", 3.0, {}}, {"layers.*.q.*", 0.0, 0.7}};
const Example kExamples[] = {
    {"layers.0.moe.router.weight", true, 0.5, 0.0},  // not of the second group, which matches, too
    {"layers.0.q.weight", true, 3.0, 0.3},
    {"layers.0.norm.weight", false, 3.0, 0.0},
    {"layers.1.q.weight", true, 0.0, 0.7},
    {"head.weight", true, 1.0, 0.3},
    {"norm.weight", false, 1.0, 0.0},
};

// One element of both rules as their papers write them, in f64.
struct Reference {
  double w;
  double m = 0.0;
  double v = 0.0;

  void adamw(double g, int step, double lr, double decay) {
    m = 0.9 * m + 0.1 * g;
    v = 0.95 * v + 0.05 * g * g;
    const double m_hat = m / (1 - std::pow(0.9, step));
    const double v_hat = v / (1 - std::pow(0.95, step));
    w = w - lr * decay * w - lr * m_hat / (std::sqrt(v_hat) + 1e-8);
  }
  void sgd(double g, double lr, double decay) {
    m = 0.8 * m + g;
    w = w - lr * decay * w - lr * m;
  }
};

TEST(ParameterGroups, AreUpdatedAsTheRuleSaysWithTheirOwnRates) {
  for (const std::string type : {"adamw", "sgd"}) {
    const auto device = Device::cpu(2);
    Options options(optimizer_fields(type));
    options.set("weight_decay", 0.3);
    if (type == "sgd") options.set("momentum", 0.8);
    std::vector<std::unique_ptr<Parameter>> owned;
    std::vector<Parameter*> all;
    std::vector<std::vector<Reference>> expected;
    for (const Example& example : kExamples) {
      const Shape shape{7, 5};
      owned.push_back(std::make_unique<Parameter>(
          example.name, Layout::replicated(shape, MeshKind::attention, {Axis::dp}),
          Box{{0, 0}, shape}, DType::f64, Init{Init::Kind::normal, 0.5}, example.decays, device));
      owned.back()->initialize(3);
      all.push_back(owned.back().get());
      expected.emplace_back();
      for (const double w : all.back()->value().values()) expected.back().push_back({w});
    }
    const auto optimizer = make_optimizer(type, options, all, kGroups);
    for (int step = 1; step <= 3; ++step) {
      const double lr = 0.01 * step;
      for (size_t k = 0; k < all.size(); ++k) {
        const Random random(5, "gradient", all[k]->name() + std::to_string(step));
        std::vector<double> g;
        for (int64_t i = 0; i < 35; ++i) g.push_back(random.normal(i));
        all[k]->zero_gradient();
        all[k]->accumulate(Tensor::from(g, Shape{7, 5}, DType::f64, device));
        const double own = lr * kExamples[k].lr_scale;
        for (size_t i = 0; i < g.size(); ++i) {
          if (type == "adamw") {
            expected[k][i].adamw(g[i], step, own, kExamples[k].weight_decay);
          } else {
            expected[k][i].sgd(g[i], own, kExamples[k].weight_decay);
          }
        }
      }
      optimizer->step(lr);
    }
    for (size_t k = 0; k < all.size(); ++k) {
      const std::vector<double> values = all[k]->value().values();
      for (size_t i = 0; i < values.size(); ++i) {
        ASSERT_NEAR(values[i], expected[k][i].w, 1e-14) << type << " " << kExamples[k].name;
      }
    }
  }
}

}  // namespace
}  // namespace troupe
