// Bi-level routing (He et al. 2022, SMILE): a group of experts first, then experts within it, each
// by a router of its own; the inner one serves all groups. The gate weight is the product of both
// probabilities. Groups are consecutive experts, so where a node holds whole groups a token goes to
// one node.
#include <fmt/core.h>

#include "core/base/error.h"
#include "core/ops/arithmetic.h"
#include "core/ops/softmax.h"
#include "core/ops/view.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"

namespace troupe {
namespace {

// [T, G] and [T, M] -> [T, G * M], each of the first plus each of the second.
Tensor outer_sum(const Tensor& groups_TG, const Tensor& inner_TM) {
  const int64_t t = groups_TG.dim(0);
  const int64_t g = groups_TG.dim(1);
  const int64_t m = inner_TM.dim(1);
  const Tensor sum = add(reshape(groups_TG, {t, g, 1}), reshape(inner_TM, {t, 1, m}));
  return reshape(sum, {t, g * m});
}

class Smile final : public Router {
 public:
  Smile(const Options& options, const RouterInputs& inputs)
      : Router(inputs),
        experts_(inputs.experts),
        groups_(options.integer("groups")),
        inner_(inputs.experts / groups_),
        top_k_(options.integer("top_k")),
        renormalize_(options.boolean("renormalize")),
        weight_(inputs.parameter("weight")),
        // With one group there is nothing to decide above: this is topk.
        group_weight_(groups_ > 1 ? &inputs.parameter("group") : nullptr) {
    require(groups_ * inner_ == experts_ && top_k_ <= inner_, "top_k {} of {} experts in {} groups",
            top_k_, experts_, groups_);
  }

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    const Tensor inner_TM = router_logits(input, input.x_TD, weight_);
    const Tensor q_TM = softmax(inner_TM);
    if (!group_weight_) {
      out.logits_TE = out.selection_TE = inner_TM;
      // A softmax of its own, as in topk: gradients then add up in the same order.
      out.probabilities_TE = softmax(inner_TM);
      out.sparse() = replay != nullptr ? replayed(*replay, input.context, experts_)
                                       : choose_experts(inner_TM, {}, top_k_, input.context);
      out.sparse().weight = inner_weights(q_TM, out.sparse());
      return out;
    }
    const Tensor group_TG = router_logits(input, input.x_TD, *group_weight_);
    const Tensor p_TG = softmax(group_TG);
    out.levels = {level(groups_, true, group_TG, p_TG), level(inner_, false, inner_TM, q_TM)};
    // The softmax of sums is the product of both: for counts and comparisons, without a tape.
    out.logits_TE = out.selection_TE = outer_sum(group_TG.detach(), inner_TM.detach());
    out.probabilities_TE = softmax(out.logits_TE);
    out.sparse() = replay != nullptr ? replayed(*replay, input.context, experts_)
                                     : choose(group_TG, inner_TM, input.context);
    std::vector<int32_t> group;
    for (const int32_t expert : out.sparse().expert)
      group.push_back(static_cast<int32_t>(expert / inner_));
    out.sparse().weight =
        mul(inner_weights(q_TM, out.sparse()), take_pairs(p_TG, out.sparse().token_begin, group));
    return out;
  }

  int64_t choices() const override { return top_k_; }

 private:
  RoutingLevel level(int64_t bins, bool outer, const Tensor& logits,
                     const Tensor& probabilities) const {
    RoutingLevel out{bins, {}, logits, probabilities};
    for (int64_t e = 0; e < experts_; ++e)
      out.bin.push_back(static_cast<int32_t>(outer ? e / inner_ : e % inner_));
    return out;
  }

  SparseAssignment choose(const Tensor& group_TG, const Tensor& inner_TM,
                          const TokenContext& context) const {
    const SparseAssignment group = choose_experts(group_TG, {}, 1, context);
    SparseAssignment out = choose_experts(inner_TM, {}, top_k_, context);
    out.experts = experts_;
    const std::vector<int32_t> token = out.pair_tokens();
    for (size_t i = 0; i < token.size(); ++i) {
      const auto first = static_cast<size_t>(group.token_begin[static_cast<size_t>(token[i])]);
      out.expert[i] += group.expert[first] * static_cast<int32_t>(inner_);
    }
    return out;
  }

  Tensor inner_weights(const Tensor& q_TM, const SparseAssignment& assignment) const {
    std::vector<int32_t> number;
    for (const int32_t expert : assignment.expert)
      number.push_back(static_cast<int32_t>(expert % inner_));
    const Tensor w = take_pairs(q_TM, assignment.token_begin, number);
    return renormalize_ ? normalise_pairs(w, assignment.token_begin) : w;
  }

  int64_t experts_;
  int64_t groups_;
  int64_t inner_;  // experts in a group
  int64_t top_k_;
  bool renormalize_;
  Parameter& weight_;
  Parameter* group_weight_;
};

// A single expert within a group, whose probability there is divided by itself: what is left of the
// weight is the probability of the group.
std::vector<std::string> warnings(const Options& options, bool balanced) {
  if (options.integer("top_k") != 1 || !options.boolean("renormalize")) return {};
  return {fmt::format(
      "router smile with top_k: 1 and renormalize: true gives the expert within a group the weight "
      "1, so the LM loss has no gradient for that choice{}; write renormalize: false",
      balanced ? " and only balancing moves it" : " and nothing trains it")};
}

FieldList fields() {
  Field groups = make_field("groups", FieldType::integer, int64_t{2},
                            "groups of experts with consecutive numbers; a token's experts lie in "
                            "one of them. 1 is router topk");
  groups.minimum = 1;
  Field top_k = make_field("top_k", FieldType::integer, int64_t{2}, "experts per token");
  top_k.minimum = 1;
  Field renormalize =
      make_field("renormalize", FieldType::boolean, true,
                 "divide the probabilities within the group by their sum over the chosen experts; "
                 "with top_k 1 the choice within the group then learns from balance terms only");
  return {groups, top_k, renormalize};
}

}  // namespace

RouterDescriptor router_smile() {
  RouterDescriptor out;
  out.name = "smile";
  out.help = "each token goes to its most probable group of experts, there to the k best of them";
  out.fields = fields();
  out.make = [](const Options& options, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<Smile>(options, inputs);
  };
  out.choices = [](const Options& options) { return options.integer("top_k"); };
  out.choices_option = "top_k";
  out.groups = [](const Options& options) { return options.integer("groups"); };
  out.warnings = warnings;
  out.parameters = [](const Options& options, const RouterInputs& inputs) {
    const int64_t groups = options.integer("groups");
    std::vector<ParameterSpec> list{
        router_matrix(inputs, "weight", inputs.experts / groups, inputs.init_std)};
    if (groups > 1) list.push_back(router_matrix(inputs, "group", groups, inputs.init_std));
    return list;
  };
  out.problem = [](const Options& options, int64_t experts) -> std::string {
    const int64_t groups = options.integer("groups");
    const int64_t k = options.integer("top_k");
    if (experts % groups != 0) {
      std::string legal;
      for (int64_t n = 1; n <= experts; ++n) {
        if (experts % n == 0) legal += fmt::format("{}{}", legal.empty() ? "" : ", ", n);
      }
      return fmt::format(
          "router.groups must divide the experts: {} = {} x {} + {}; legal values: {}", experts,
          experts / groups, groups, experts % groups, legal);
    }
    if (k <= experts / groups) return "";
    return fmt::format(
        "router.top_k must be at most the experts of a group, {} / {} = {}: it is {}; nearest "
        "legal "
        "value: {}",
        experts, groups, experts / groups, k, experts / groups);
  };
  out.balance_problem = [](const std::string& term, const Options&) -> std::string {
    return term == "load" ? "the smooth load needs the learned noise of router topk" : "";
  };
  return out;
}

}  // namespace troupe
