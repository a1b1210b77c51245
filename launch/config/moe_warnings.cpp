// What is legal, does what it says, and yet costs its user a day.
#include <fmt/core.h>

#include <algorithm>

#include "launch/config/moe_rules.h"
#include "launch/config/scalar.h"
#include "moe/dispatch/capacity.h"
#include "moe/dispatch/groups.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

// Losses and the bias that push the load towards even; z only keeps logits small.
bool balanced(const MoEConfig& moe) {
  if (moe.router_options.has("bias_update") && moe.router_options.real("bias_update") > 0) {
    return true;
  }
  return std::any_of(moe.balance.begin(), moe.balance.end(),
                     [](const BalanceTerm& term) { return term.type != "z" && term.coef != 0; });
}

// A single chosen expert whose weight is divided by itself: no matter what the router says.
std::string constant_weight(const MoEConfig& moe) {
  if (moe.router != "topk" || moe.router_options.integer("top_k") != 1) return {};
  const std::string& score = moe.router_options.text("score");
  const bool after = score == "softmax_after";
  if (!after && !moe.router_options.boolean("renormalize")) return {};
  return fmt::format(
      "router topk with top_k: 1 and {} gives every token the weight 1, so the LM loss has no "
      "gradient for the router{}; write {}",
      after ? "score: softmax_after" : "renormalize: true",
      balanced(moe) ? " and only balancing moves it" : " and nothing trains it",
      after ? "score: softmax and renormalize: false" : "renormalize: false (or type: switch)");
}

// The same within a group: what is left of the weight is the probability of the group.
std::string constant_within_group(const MoEConfig& moe) {
  if (moe.router != "smile" || moe.router_options.integer("top_k") != 1) return {};
  if (!moe.router_options.boolean("renormalize")) return {};
  return fmt::format(
      "router smile with top_k: 1 and renormalize: true gives the expert within a group the weight "
      "1, so the LM loss has no gradient for that choice{}; write renormalize: false",
      balanced(moe) ? " and only balancing moves it" : " and nothing trains it");
}

std::string unbalanced(const MoEConfig& moe) {
  const RouterDescriptor& router = *find_router(moe.router);
  if (!router.has_parameters || router.choices(moe.router_options) == 0) return {};
  if (moe.experts == 1 || balanced(moe)) return {};
  return fmt::format(
      "nothing balances the load of router {}: it may send most tokens to few experts and leave "
      "the "
      "others untrained; add moe.balance: [{{type: switch, coef: 0.01}}]{}",
      moe.router, moe.router_options.has("bias_update") ? ", or router.bias_update: 0.001" : "");
}

std::string all_chosen(const MoEConfig& moe) {
  const int64_t choices = find_router(moe.router)->choices(moe.router_options);
  if (moe.experts == 1 || choices != moe.experts || moe.router == "st_moe") return {};
  return fmt::format(
      "router {} chooses all {} experts for each token: the layer costs as much as a dense one and "
      "balancing has nothing to do; lower top_k or raise moe.experts",
      moe.router, moe.experts);
}

std::string certain_drops(const MoEConfig& moe, int64_t seq_len) {
  const int64_t choices = find_router(moe.router)->choices(moe.router_options);
  if (!moe.capacity_factor || choices == 0) return {};
  const int64_t group = moe.group.kind == GroupRule::Kind::tokens         ? moe.group.tokens
                        : moe.group.kind == GroupRule::Kind::across_batch ? moe.group.sequences
                                                                          : seq_len;
  const int64_t slots =
      moe.experts * capacity(choices, group, *moe.capacity_factor, moe.experts, moe.min_capacity);
  const int64_t pairs = choices * group;
  if (slots >= pairs) return {};
  return fmt::format(
      "moe.capacity_factor: {} drops at least {} of {} choices in each group of {} tokens, however "
      "even the load ({} experts x {} slots); 1.0 or more lets an even load through",
      format_real(*moe.capacity_factor), pairs - slots, pairs, group, moe.experts,
      slots / moe.experts);
}

// No expert can take more than all tokens of a group.
std::string never_drops(const MoEConfig& moe) {
  const auto experts = static_cast<double>(moe.experts);
  if (!moe.capacity_factor || *moe.capacity_factor <= experts) return {};
  return fmt::format(
      "moe.capacity_factor: {} is more than the {} experts, so nothing is ever dropped, as with "
      "none",
      format_real(*moe.capacity_factor), moe.experts);
}

// The bias moves by a fixed amount each step; the scores that it is added to sum to 1.
std::string coarse_bias(const MoEConfig& moe) {
  if (!moe.router_options.has("bias_update")) return {};
  const double rate = moe.router_options.real("bias_update");
  const bool sigmoid =
      moe.router_options.has("score") && moe.router_options.text("score") == "sigmoid";
  const double mean = sigmoid ? 0.5 : 1.0 / static_cast<double>(moe.experts);
  if (rate <= mean) return {};
  return fmt::format(
      "router.bias_update: {} is more than the mean score ({} with {} experts): a single step "
      "outweighs what the router says; 0.001 is usual",
      format_real(rate), format_computed(mean, rate), moe.experts);
}

std::string sees_future(const MoEConfig& moe) {
  if (!sees_the_future(moe)) return {};
  return fmt::format(
      "router {} with groups along the sequence sees the future: its held-out loss is not that of "
      "a "
      "causal model, and generate refuses it; use moe.group: {{across: batch, sequences: S}}",
      moe.router);
}

}  // namespace

std::vector<std::string> moe_warnings(const RunConfig& config) {
  std::vector<std::string> list;
  for (const auto& moe : config.model.moe) {
    if (!moe || find_router(moe->router) == nullptr) continue;
    for (const std::string& text :
         {constant_weight(*moe), constant_within_group(*moe), unbalanced(*moe), all_chosen(*moe),
          certain_drops(*moe, config.model.seq_len), never_drops(*moe), coarse_bias(*moe),
          sees_future(*moe)}) {
      const bool known = std::find(list.begin(), list.end(), text) != list.end();
      if (!text.empty() && !known) list.push_back(text);
    }
  }
  return list;
}

}  // namespace troupe
