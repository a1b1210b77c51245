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

LoadBias load_bias(const MoEConfig& moe) {
  return router_load_bias(router_named(moe.router), moe.router_options, moe.experts);
}

// Losses and the bias that push the load towards even; z only keeps logits small.
bool balanced(const MoEConfig& moe) {
  if (load_bias(moe).rate > 0) return true;
  return std::any_of(moe.balance.begin(), moe.balance.end(),
                     [](const BalanceTerm& term) { return term.type != "z" && term.coef != 0; });
}

// What the router itself has to say.
std::vector<std::string> of_router(const MoEConfig& moe) {
  const RouterDescriptor& router = router_named(moe.router);
  if (router.warnings == nullptr) return {};
  return router.warnings(moe.router_options, balanced(moe));
}

std::string unbalanced(const MoEConfig& moe) {
  const RouterDescriptor& router = router_named(moe.router);
  if (!router.has_parameters || router.choices(moe.router_options) == 0) return {};
  if (moe.experts == 1 || balanced(moe)) return {};
  const std::string bias = load_bias(moe).option;
  return fmt::format(
      "nothing balances the load of router {}: it may send most tokens to few experts and leave "
      "the "
      "others untrained; add moe.balance: [{{type: switch, coef: 0.01}}]{}",
      moe.router, bias.empty() ? "" : fmt::format(", or router.{}: 0.001", bias));
}

std::string all_chosen(const MoEConfig& moe) {
  const RouterDescriptor& router = router_named(moe.router);
  if (moe.experts == 1 || router.choices(moe.router_options) != moe.experts) return {};
  if (router.choices_option.empty()) return {};
  return fmt::format(
      "router {} chooses all {} experts for each token: the layer costs as much as a dense one and "
      "balancing has nothing to do; lower {} or raise moe.experts",
      moe.router, moe.experts, router.choices_option);
}

std::string certain_drops(const MoEConfig& moe, int64_t seq_len) {
  const int64_t choices = router_named(moe.router).choices(moe.router_options);
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

// The bias moves by a fixed amount each step.
std::string coarse_bias(const MoEConfig& moe) {
  const LoadBias bias = load_bias(moe);
  if (bias.rate <= bias.mean_score) return {};
  return fmt::format(
      "router.{}: {} is more than the mean score ({} with {} experts): a single step outweighs "
      "what "
      "the router says; 0.001 is usual",
      bias.option, format_real(bias.rate), format_computed(bias.mean_score, bias.rate),
      moe.experts);
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
    std::vector<std::string> found = of_router(*moe);
    found.insert(found.end(),
                 {unbalanced(*moe), all_chosen(*moe), certain_drops(*moe, config.model.seq_len),
                  never_drops(*moe), coarse_bias(*moe), sees_future(*moe)});
    for (const std::string& text : found) {
      const bool known = std::find(list.begin(), list.end(), text) != list.end();
      if (!text.empty() && !known) list.push_back(text);
    }
  }
  return list;
}

}  // namespace troupe
