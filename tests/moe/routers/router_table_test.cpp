// What the table says of the routers, and what all of them keep here.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/moe/routers/routed.h"

namespace troupe::testing {
namespace {

TEST(RouterTable, HoldsEveryFileOfTheFolder) {
  std::vector<std::string> names;
  for (const RouterDescriptor& router : routers()) names.push_back(router.name);
  EXPECT_EQ(names, (std::vector<std::string>{"expert_choice", "hash", "smile", "st_moe", "switch",
                                             "topk"}));
  EXPECT_EQ(find_router("topc"), nullptr);
  for (const RouterDescriptor& router : routers()) {
    EXPECT_FALSE(router.help.empty());
    EXPECT_TRUE(router.make && router.choices && router.problem && router.balance_problem);
    EXPECT_EQ(router.problem(Options(router.fields), 8), "");
  }
}

// What the table says of a router's matrices is what it makes.
TEST(RouterTable, NamesTheMatricesOfEachRouter) {
  const std::vector<std::pair<std::string, std::map<std::string, FieldValue>>> cases = {
      {"topk", {}},
      {"topk", {{"noise", std::string("learned")}}},
      {"switch", {}},
      {"st_moe", {}},
      {"hash", {}},
      {"expert_choice", {}},
      {"smile", {}},
      {"smile", {{"groups", int64_t{1}}}},
      {"smile", {{"groups", int64_t{3}}}}};
  for (const auto& [name, given] : cases) {
    Options options(find_router(name)->fields);
    for (const auto& [key, value] : given) options.set(key, value);
    std::vector<std::pair<std::string, int64_t>> said;
    RouterInputs inputs;
    inputs.experts = kExperts;
    inputs.dim = kDim;
    inputs.name = "layers.0.moe.router";
    for (const ParameterSpec& spec : router_parameters(*find_router(name), options, inputs))
      said.emplace_back(spec.name, spec.layout.global[0]);
    std::vector<std::pair<std::string, int64_t>> made;
    small_router(name, given)->parameters([&](Parameter& p) {
      made.emplace_back(p.name(), p.value().dim(0));
      EXPECT_EQ(p.value().dim(1), kDim);
    });
    EXPECT_EQ(said, made) << name;
  }
}

TEST(Routers, PaddingGetsNoExpert) {
  TokenContext batch = whole_batch(2, 6);
  pad(batch, {0, 5, 6, 7, 11});
  for (const RouterDescriptor& descriptor : routers()) {
    const auto router = small_router(descriptor.name);
    const SparseAssignment a = route(*router, batch, random_tensor({12, kDim}, 1)).sparse();
    a.check();
    for (const size_t t : {0, 5, 6, 7, 11}) EXPECT_EQ(a.token_begin[t], a.token_begin[t + 1]);
  }
}

TEST(Routers, ReplayGivesTheSameWeights) {
  const TokenContext batch = whole_batch(2, 6);
  const Tensor x = random_tensor({12, kDim}, 1);
  for (const RouterDescriptor& descriptor : routers()) {
    const auto router = small_router(descriptor.name);
    const Routing first = route(*router, batch, x);
    const SparseAssignment saved = assignment_from_bytes(to_bytes(first.sparse()));
    const Routing again = route(*router, batch, x, &saved);
    EXPECT_TRUE(again.sparse().same_routing(first.sparse())) << descriptor.name;
    EXPECT_EQ(again.sparse().weight.values(), first.sparse().weight.values()) << descriptor.name;
  }
}

}  // namespace
}  // namespace troupe::testing
