// Expert choice (Zhou et al. 2022, arXiv:2202.09368): each expert takes the tokens of a group that
// score highest for it, so the load is even by construction and a token has 0 to E experts.
#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/ops/softmax.h"
#include "moe/dispatch/capacity.h"
#include "moe/dispatch/tie.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"
#include "moe/routers/parts/select.h"

namespace troupe {
namespace {

class ExpertChoice final : public Router {
 public:
  explicit ExpertChoice(const RouterInputs& inputs)
      : Router(inputs), experts_(inputs.experts), weight_(inputs.parameter("weight")) {}

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    out.logits_TE = router_logits(input, input.x_TD, weight_);
    out.probabilities_TE = softmax(out.logits_TE);  // over the experts
    out.selection_TE = out.probabilities_TE;
    out.sparse() = replay != nullptr ? replayed(*replay, input.context, experts_)
                                     : choose(input, out.probabilities_TE);
    out.sparse().weight =
        take_pairs(out.probabilities_TE, out.sparse().token_begin, out.sparse().expert);
    return out;
  }

  int64_t choices() const override { return 0; }
  bool limits_itself() const override { return true; }

 private:
  // Each expert takes min(T, ceil(capacity_factor T / E)) of a group's T valid tokens (at least one
  // where there is one): by probability, ties to the earlier token. A token's experts stand by
  // number. min_capacity is not read: it would let every expert take all of a small group.
  SparseAssignment choose(const RouterInput& input, const Tensor& probabilities_TE) const {
    const std::vector<double> p = probabilities_TE.values();
    const DType precision = probabilities_TE.dtype();
    require(input.groups != nullptr && input.capacity_factor.has_value(),
            "expert choice needs groups and a capacity factor");
    const Groups& groups = *input.groups;
    std::vector<std::vector<int32_t>> members(groups.size.size());
    for (size_t t = 0; t < groups.group.size(); ++t) {
      if (groups.group[t] >= 0)
        members[static_cast<size_t>(groups.group[t])].push_back(static_cast<int32_t>(t));
    }
    std::vector<std::vector<int32_t>> experts_of(groups.group.size());
    std::vector<double> column;
    std::vector<int32_t> taken;
    for (const std::vector<int32_t>& tokens : members) {
      const auto size = static_cast<int64_t>(tokens.size());
      const int64_t slots = std::min(size, capacity(1, size, *input.capacity_factor, experts_, 1));
      for (int64_t e = 0; e < experts_; ++e) {
        column.clear();
        for (const int32_t t : tokens) {
          const double score = p[static_cast<size_t>(t * experts_ + e)];
          // NaN has no order.
          column.push_back(std::isnan(score) ? -1.0 : tie_score(score, precision));
        }
        take_best(column, slots, taken);
        for (const int32_t i : taken) {
          const int32_t t = tokens[static_cast<size_t>(i)];
          experts_of[static_cast<size_t>(t)].push_back(static_cast<int32_t>(e));
        }
      }
    }
    SparseAssignment out = empty_assignment(experts_);
    for (const std::vector<int32_t>& experts : experts_of) out.append(experts);
    return out;
  }

  // Indices of the `count` largest, ties to the lowest.
  static void take_best(const std::vector<double>& scores, int64_t count,
                        std::vector<int32_t>& out) {
    std::vector<int32_t> order(scores.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
    std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int32_t a, int32_t b) {
      const double x = scores[static_cast<size_t>(a)];
      const double y = scores[static_cast<size_t>(b)];
      return x > y || (x == y && a < b);
    });
    out.assign(order.begin(), order.begin() + count);
  }

  int64_t experts_;
  Parameter& weight_;
};

}  // namespace

RouterDescriptor router_expert_choice() {
  RouterDescriptor out;
  out.name = "expert_choice";
  out.help = "each expert takes the capacity_factor * tokens / experts tokens that suit it best";
  out.make = [](const Options&, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<ExpertChoice>(inputs);
  };
  out.choices = [](const Options&) { return int64_t{0}; };
  out.problem = [](const Options&, int64_t) { return std::string(); };
  out.needs_capacity = true;
  out.uses_min_capacity = false;
  out.balance_problem = [](const std::string& term, const Options&) -> std::string {
    if (term == "z") return "";
    return "experts that choose their tokens are balanced by construction: only z has an effect";
  };
  return out;
}

}  // namespace troupe
