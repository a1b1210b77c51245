#include "models/convert/hf_families/parts/experts.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

// The router that makes such a choice.
const RouterDescriptor& scoring_router() {
  const auto found = std::find_if(routers().begin(), routers().end(),
                                  [](const auto& router) { return router.options_of != nullptr; });
  require(found != routers().end(), "no router chooses by scores");
  return *found;
}

bool same_experts(const MoEConfig& a, const MoEConfig& b) {
  return a.experts == b.experts && a.ffn_dim == b.ffn_dim && a.router == b.router &&
         a.router_options.values() == b.router_options.values() &&
         a.shared_experts == b.shared_experts && a.shared_ffn_dim == b.shared_ffn_dim;
}

}  // namespace

MoEConfig read_experts(HfConfigReader& config, int64_t experts, int64_t width,
                       const ScoredChoice& choice) {
  MoEConfig moe;
  moe.experts = std::clamp<int64_t>(experts, 1, kMostExperts);
  if (moe.experts != experts)
    config.fault(fmt::format("it has {} experts; 1 to {} are possible", experts, kMostExperts));
  moe.ffn_dim = std::clamp<int64_t>(width, 1, kMostWidth);
  if (moe.ffn_dim != width) {
    config.fault(fmt::format("its experts have width {}; 1 to {} are possible", width, kMostWidth));
  }
  ScoredChoice legal = choice;
  legal.top_k = std::clamp<int64_t>(choice.top_k, 1, moe.experts);
  if (legal.top_k != choice.top_k) {
    config.fault(
        fmt::format("\"num_experts_per_tok\" is {}, with {} experts", choice.top_k, moe.experts));
  }
  moe.router = scoring_router().name;
  moe.router_options = scoring_router().options_of(legal);
  return moe;
}

void read_router_training(HfConfigReader& config) {
  config.pass_over({"router_aux_loss_coef"});
  if (config.boolean({"output_router_logits"}, false)) {
    config.unsupported(config.shown("output_router_logits") +
                       ": it adds a balance loss over all layers together");
  }
  if (config.real({"router_jitter_noise"}, 0.0) != 0.0)
    config.unsupported(config.shown("router_jitter_noise"));
}

std::optional<ScoredChoice> choice_of(const MoEConfig& moe) {
  const RouterDescriptor* router = find_router(moe.router);
  if (router == nullptr || router->scored_choice == nullptr) return std::nullopt;
  return router->scored_choice(moe.router_options);
}

const MoEConfig* common_experts(const ModelConfig& model) {
  const MoEConfig* common = nullptr;
  for (const auto& moe : model.moe) {
    if (!moe) continue;
    if (common != nullptr && !same_experts(*common, *moe)) return nullptr;
    common = &*moe;
  }
  return common;
}

void add_expert_lacks(const ModelConfig& model,
                      const std::function<std::string(const ScoredChoice&)>& refuses,
                      std::vector<std::string>& list) {
  const bool any =
      std::any_of(model.moe.begin(), model.moe.end(), [](const auto& moe) { return !!moe; });
  if (!any) {
    list.push_back("a model without experts");
    return;
  }
  const MoEConfig* moe = common_experts(model);
  if (moe == nullptr) {
    list.push_back("layers with other experts or another router than those before");
    return;
  }
  const std::optional<ScoredChoice> choice = choice_of(*moe);
  if (!choice) {
    list.push_back(fmt::format("the router {} with these options", moe->router));
  } else if (const std::string reason = refuses(*choice); !reason.empty()) {
    list.push_back(reason);
  }
  if (moe->router_of_layer) list.push_back("a router that layers share");
  if (moe->capacity_factor) list.push_back("a capacity of experts");
  if (moe->shared_experts > 0) list.push_back("shared experts");
}

void link_experts(const ModelConfig& model, int64_t layer, const ExpertNames& names, bool fused,
                  LinkList& links) {
  const MoEConfig& moe = model.moe[static_cast<size_t>(layer)].value();
  const std::string ours = our_layer(layer) + ".moe.";
  const std::string theirs = hf_layer(layer) + ".";
  const int64_t width = moe.ffn_dim;
  const int64_t dim = model.dim;
  links.whole(ours + "router.weight", theirs + (fused ? names.fused_gate : names.gate),
              {moe.experts, dim});
  if (fused) {
    links.whole(ours + "experts.gate_up", theirs + names.fused_experts + "gate_up_proj",
                {moe.experts, 2 * width, dim});
    links.whole(ours + "experts.down", theirs + names.fused_experts + "down_proj",
                {moe.experts, dim, width});
    return;
  }
  for (int64_t e = 0; e < moe.experts; ++e) {
    const std::string expert = fmt::format("{}{}{}.", theirs, names.experts, e);
    links.part(ours + "experts.gate_up", 2 * e * width * dim, expert + names.gate_part + ".weight",
               {width, dim});
    links.part(ours + "experts.gate_up", (2 * e + 1) * width * dim,
               expert + names.up_part + ".weight", {width, dim});
    links.part(ours + "experts.down", e * dim * width, expert + names.down_part + ".weight",
               {dim, width});
  }
}

}  // namespace troupe
