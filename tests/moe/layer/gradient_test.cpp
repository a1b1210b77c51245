// Finite differences of the total loss, balance terms included, with respect to every weight, for
// every router; and proof that a spoilt gradient of the gate weights or of a term is noticed.
#include <gtest/gtest.h>

#include "core/autograd/tape.h"
#include "core/ops/arithmetic.h"
#include "core/ops/reduce.h"
#include "moe/layer/layer_stats.h"
#include "moe/routers/table.h"
#include "parallel/comm/self_communicator.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/moe/layer/fixture.h"
#include "tests/moe/support.h"

namespace troupe {
namespace {

using testing::layer_case;
using testing::LayerCase;
using testing::parameter_gradient_error;
using testing::random_tensor;
using testing::set_capacity;
using testing::set_option;

enum class Mutant { none, negated, doubled, dropped };
constexpr Mutant kMutants[] = {Mutant::negated, Mutant::doubled, Mutant::dropped};

// Spoils what the op that made x hands on.
void spoil(const Tensor& x, Mutant mutant) {
  if (mutant == Mutant::none || !x.node()) return;
  const double factor = mutant == Mutant::negated ? -1.0 : mutant == Mutant::doubled ? 2.0 : 0.0;
  x.node()->input_gradient = [inner = x.node()->input_gradient, factor](const Tensor& g,
                                                                        InputGradients& to) {
    inner(scale(g, factor), to);
  };
}

Tensor dot(const Tensor& x, uint64_t key) { return sum(mul(x, random_tensor(x.shape(), key))); }

struct Case {
  std::string name;
  std::string router;
  std::map<std::string, FieldValue> options;
};

void PrintTo(const Case& shown, std::ostream* out) { *out << shown.name; }

std::vector<Case> cases() {
  const std::string learned = "learned";
  return {{"topk", "topk", {}},
          {"topk_plain", "topk", {{"top_k", int64_t{3}}, {"renormalize", false}}},
          {"topk_after", "topk", {{"score", std::string("softmax_after")}, {"top_k", int64_t{3}}}},
          {"topk_sigmoid", "topk", {{"score", std::string("sigmoid")}, {"scale", 2.5}}},
          {"topk_plain_sigmoid",
           "topk",
           {{"score", std::string("sigmoid")}, {"renormalize", false}, {"bias_update", 0.1}}},
          {"topk_noise", "topk", {{"noise", learned}}},
          {"switch_router", "switch", {{"jitter", 0.2}}},
          {"st_moe", "st_moe", {}},
          {"hash", "hash", {}},
          {"expert_choice", "expert_choice", {}},
          {"smile", "smile", {}},
          {"smile_switch", "smile", {{"top_k", int64_t{1}}, {"renormalize", false}}},
          {"smile_four", "smile", {{"groups", int64_t{4}}, {"top_k", int64_t{1}}}}};
}

LayerCase small_case(const Case& of) {
  LayerCase given = layer_case(of.router, 2, 4);
  for (const auto& [name, value] : of.options) set_option(given, name, value);
  // Few weights, on a device of one thread: each is moved twice.
  given.inputs.config.experts = 4;
  given.inputs.config.ffn_dim = 3;
  given.inputs.dim = 5;
  given.x = testing::rows_of(random_tensor({8, 5}, 11), 0, 8, Device::cpu(1));
  testing::pad(given.batch, {6, 7});
  given.batch.micro_batch = 1;
  return given;
}

std::vector<BalanceTerm> terms_of(const LayerCase& given) {
  std::vector<BalanceTerm> out;
  for (const char* type : {"switch", "z", "importance", "load"}) {
    for (const BalanceScope scope :
         {BalanceScope::sequence, BalanceScope::microbatch, BalanceScope::global_batch,
          BalanceScope::global_batch_exact}) {
      const BalanceTerm term{type, 2.0, scope};
      if (balance_problem(term, given.inputs.config.router, given.inputs.config.router_options)
              .empty())
        out.push_back(term);
    }
  }
  return out;
}

class Gradients : public ::testing::TestWithParam<Case> {};

TEST_P(Gradients, OfTheWholeLayer) {
  for (const double factor : {0.0, 1.0}) {
    LayerCase given = small_case(GetParam());
    given.inputs.config.balance = terms_of(given);
    given.inputs.config.shared_experts = 1;
    given.inputs.config.shared_ffn_dim = 3;
    if (factor > 0.0) set_capacity(given, factor);
    const Mesh mesh(MeshShape::data_expert(1, 1), self_communicator());
    MoELayer layer(given.inputs, mesh, given.x.device());
    std::vector<Parameter*> parameters;
    layer.parameters([&](Parameter& p) {
      p.initialize(5);
      parameters.push_back(&p);
    });
    const auto total = [&] {
      const MoEOutput out = layer.forward(given.x, given.batch);
      layer.before_backward(out.stats);
      layer.after_step(no_stats(given.inputs.config));
      Tensor loss = dot(out.y_TD, 21);
      for (const LossTerm& term : out.losses) loss = add(loss, term.value);
      return loss;
    };
    EXPECT_LE(parameter_gradient_error(total, parameters), 1e-7);
    testing::expect_correct(
        [&](auto in) { return dot(layer.forward(in[0], given.batch).y_TD, 22); }, {given.x});
  }
}

struct RouterUnderTest {
  explicit RouterUnderTest(const LayerCase& of) : given(of) {
    const RouterDescriptor& descriptor = *find_router(given.inputs.config.router);
    RouterInputs inputs;
    inputs.experts = given.inputs.config.experts;
    inputs.dim = given.inputs.dim;
    inputs.name = "router";
    inputs.precision = DType::f64;
    inputs.init_std = 0.7;
    inputs.vocab = 32;
    const Mesh mesh(MeshShape(), self_communicator());
    router = make_router(descriptor, given.inputs.config.router_options, inputs,
                         {&mesh, given.x.device(), 6});
    router->parameters([&](Parameter& p) { parameters.push_back(&p); });
    groups = make_groups({}, given.batch);
  }
  Routing route() {
    return router->route({given.x, given.batch, &groups, 2.0, {}, {}, {}, {}}, nullptr);
  }
  const LayerCase& given;
  std::unique_ptr<Router> router;
  std::vector<Parameter*> parameters;
  Groups groups;
};

TEST_P(Gradients, SpoiltGateWeightsAreNoticed) {
  const LayerCase given = small_case(GetParam());
  RouterUnderTest test(given);
  if (test.parameters.empty()) {
    EXPECT_FALSE(test.route().sparse().weight.needs_gradient());
    return;
  }
  auto error = [&](Mutant mutant) {
    return parameter_gradient_error(
        [&] {
          const Routing routing = test.route();
          spoil(routing.sparse().weight, mutant);
          return dot(routing.sparse().weight, 23);
        },
        test.parameters);
  };
  EXPECT_LE(error(Mutant::none), 1e-7);
  for (const Mutant mutant : kMutants) EXPECT_GT(error(mutant), 1e-5);
}

TEST_P(Gradients, SpoiltBalanceTermsAreNoticed) {
  const LayerCase given = small_case(GetParam());
  RouterUnderTest test(given);
  BatchLoad previous;
  for (int e = 0; e < 4; ++e) previous.fraction.push_back((e + 1) / 10.0);
  previous.probability = previous.load = previous.fraction;
  for (const BalanceTerm& term : terms_of(given)) {
    auto error = [&](Mutant mutant) {
      return parameter_gradient_error(
          [&] {
            const Routing routing = test.route();
            const auto exact = std::make_shared<ExactBatch>();
            const bool first = router_named(given.inputs.config.router).balance_by_first_choice;
            const LossTerm loss = balance_losses(std::span(&term, 1),
                                                 {routing, routing.sparse(), given.batch, previous,
                                                  test.router->choices(), first, exact})[0];
            const RouterStats stats = count_routing(routing, routing.sparse(), given.batch,
                                                    no_stats(given.inputs.config));
            const auto& pairs = stats.balanced();
            exact->set({{pairs.begin(), pairs.end()},
                        stats.probability_sum,
                        stats.load_sum,
                        static_cast<double>(stats.tokens)});
            spoil(loss.value, mutant);
            return loss.value;
          },
          test.parameters);
    };
    EXPECT_LE(error(Mutant::none), 1e-7) << term.type;
    for (const Mutant mutant : kMutants) EXPECT_GT(error(mutant), 1e-5) << term.type;
  }
}

INSTANTIATE_TEST_SUITE_P(Routers, Gradients, ::testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.name; });

// Twice the coefficient less once the coefficient is the gradient of the term alone.
TEST(BalanceGradient, GrowsWithItsCoefficient) {
  auto router_gradient = [](double coef) {
    LayerCase given = layer_case("topk");
    given.inputs.config.balance = {{"switch", coef, BalanceScope::sequence}};
    return testing::run_layer(given).gradients.at("layers.0.moe.router.weight");
  };
  const auto none = router_gradient(0.0);
  const auto once = router_gradient(0.5);
  const auto twice = router_gradient(1.0);
  double largest = 0.0;
  for (size_t i = 0; i < none.size(); ++i) {
    EXPECT_NEAR(twice[i] - once[i], once[i] - none[i], 1e-12);
    largest = std::max(largest, std::abs(once[i] - none[i]));
  }
  EXPECT_GT(largest, 1e-4);
}

}  // namespace
}  // namespace troupe
