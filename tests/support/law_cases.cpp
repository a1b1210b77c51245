#include "tests/support/law_cases.h"

#include "models/verify/layout_run.h"
#include "moe/balance/balance.h"

namespace troupe::laws {
namespace {

// Every term that has a gradient under this router, in every scope.
void add_balance(MoEConfig& moe) {
  for (const char* type : {"switch", "z", "importance", "load"}) {
    for (BalanceScope scope :
         {BalanceScope::sequence, BalanceScope::microbatch, BalanceScope::global_batch}) {
      const BalanceTerm term{type, 0.02, scope};
      if (balance_problem(term, moe.router, moe.router_options).empty())
        moe.balance.push_back(term);
    }
  }
}

NamedCase make_case(DType compute, const std::string& name, const std::string& router,
                    const std::vector<std::pair<std::string, FieldValue>>& options,
                    double capacity) {
  NamedCase out{name, small_engine(compute, router)};
  MoEConfig& moe = *out.engine.model.moe[1];
  for (const auto& [key, value] : options) moe.router_options.set(key, value);
  if (capacity > 0) moe.capacity_factor = moe.capacity_factor_eval = capacity;
  add_balance(moe);
  return out;
}

}  // namespace

std::vector<NamedCase> law_cases(DType compute) {
  using Text = std::string;
  std::vector<NamedCase> cases;
  for (double capacity : {0.0, 1.0}) {
    const std::string suffix = capacity > 0 ? "_capacity" : "_dropless";
    auto add = [&](const std::string& name, const std::string& router,
                   const std::vector<std::pair<std::string, FieldValue>>& options) {
      cases.push_back(make_case(compute, name + suffix, router, options, capacity));
    };
    add("topk", "topk", {});
    add("topk_noisy_after", "topk", {{"score", Text("softmax_after")}, {"noise", Text("learned")}});
    add("topk_sigmoid_bias", "topk",
        {{"score", Text("sigmoid")}, {"bias_update", 0.05}, {"scale", 1.5}});
    add("switch", "switch", {{"bias_update", 0.01}});
    add("st_moe", "st_moe", {});
    add("smile", "smile", {{"groups", int64_t{3}}});
    add("hash", "hash", {{"kind", Text("balanced")}});
  }
  for (NamedCase& named : cases) {
    if (named.name == "topk_capacity") named.engine.model.moe[1]->priority = Priority::gate;
    if (named.name == "topk_sigmoid_bias_capacity") {
      named.engine.model.moe[1]->group = {GroupRule::Kind::tokens, 4, 0};
    }
    if (named.name == "switch_capacity") {  // a sequence and a half
      named.engine.model.moe[1]->group = {GroupRule::Kind::tokens, 12, 0};
    }
    if (named.name == "topk_noisy_after_dropless") named.engine.model.recompute = true;
    if (named.name == "switch_dropless") named.engine.model.dropout = 0.1;
  }
  cases.push_back(make_case(compute, "expert_choice", "expert_choice", {}, 2.0));
  cases.push_back(make_case(compute, "expert_choice_across_batch", "expert_choice", {}, 2.0));
  cases.back().engine.model.moe[1]->group = {GroupRule::Kind::across_batch, 0, 3};
  return cases;
}

}  // namespace troupe::laws
