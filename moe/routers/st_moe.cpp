// ST-MoE routing (Zoph et al. 2022, arXiv:2202.08906): two experts per token with weights that sum
// to 1; in training the second one is kept with probability min(1, weight / threshold). All first
// choices find their slots before any second choice.
#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/ops/softmax.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"

namespace troupe {
namespace {

class StMoe final : public Router {
 public:
  StMoe(const Options& options, const RouterInputs& inputs)
      : Router(inputs),
        name_(inputs.name),
        experts_(inputs.experts),
        threshold_(options.real("second_threshold")),
        weight_(inputs.parameter("weight")) {}

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    out.logits_TE = router_logits(input, input.x_TD, weight_);
    out.probabilities_TE = softmax(out.logits_TE);
    out.selection_TE = out.logits_TE;
    // The weights of both choices are normalised before the second one may be left out.
    const SparseAssignment both = replay != nullptr
                                      ? both_of_replay(*replay, out.logits_TE, input.context)
                                      : choose_experts(out.logits_TE, {}, choices(), input.context);
    const Tensor weight = normalise_pairs(
        take_pairs(out.probabilities_TE, both.token_begin, both.expert), both.token_begin);
    std::vector<int32_t> pairs;
    out.sparse() = replay != nullptr ? keep_replayed(*replay, both, input.context, pairs)
                                     : keep_drawn(both, weight.values(), input.context, pairs);
    out.sparse().weight = take_elements(weight, pairs);
    return out;
  }

  int64_t choices() const override { return std::min<int64_t>(2, experts_); }
  bool first_choices_first() const override { return true; }

 private:
  // Keeps pair i of `both` where keep(token, pair) holds; pairs gets the numbers of those kept.
  template <typename Keep>
  SparseAssignment keep_where(const SparseAssignment& both, std::vector<int32_t>& pairs,
                              Keep&& keep) const {
    SparseAssignment out = empty_assignment(experts_);
    std::vector<int32_t> chosen;
    for (int64_t t = 0; t < both.tokens; ++t) {
      chosen.clear();
      for (int64_t i = both.token_begin[static_cast<size_t>(t)];
           i < both.token_begin[static_cast<size_t>(t) + 1]; ++i) {
        if (!keep(t, i)) continue;
        chosen.push_back(both.expert[static_cast<size_t>(i)]);
        pairs.push_back(static_cast<int32_t>(i));
      }
      out.append(chosen);
    }
    return out;
  }

  SparseAssignment keep_drawn(const SparseAssignment& both, const std::vector<double>& weight,
                              const TokenContext& context, std::vector<int32_t>& pairs) const {
    const Random random(context.seed, "router second choice", name_);
    return keep_where(both, pairs, [&](int64_t t, int64_t i) {
      const bool first = i == both.token_begin[static_cast<size_t>(t)];
      if (first || !context.training) return true;
      // Equal counts: with a threshold of 0 a weight that underflowed is kept, too.
      return random.uniform(context.draw_index(t)) * threshold_ <= weight[static_cast<size_t>(i)];
    });
  }

  SparseAssignment keep_replayed(const SparseAssignment& saved, const SparseAssignment& both,
                                 const TokenContext& context, std::vector<int32_t>& pairs) const {
    const SparseAssignment plain = replayed(saved, context, experts_);
    return keep_where(both, pairs, [&](int64_t t, int64_t i) {
      const auto at = static_cast<size_t>(t);
      const int64_t place = i - both.token_begin[at];
      return place < plain.token_begin[at + 1] - plain.token_begin[at];
    });
  }

  // The saved choices; where the second one was left out, the best of the others: its weight is
  // still part of the sum that the first is divided by.
  SparseAssignment both_of_replay(const SparseAssignment& saved, const Tensor& logits_TE,
                                  const TokenContext& context) const {
    const SparseAssignment plain = replayed(saved, context, experts_);
    const SparseAssignment best = choose_experts(logits_TE, {}, choices(), context);
    SparseAssignment out = empty_assignment(experts_);
    std::vector<int32_t> chosen;
    for (size_t t = 0; t + 1 < plain.token_begin.size(); ++t) {
      chosen.assign(plain.expert.begin() + plain.token_begin[t],
                    plain.expert.begin() + plain.token_begin[t + 1]);
      for (int64_t i = best.token_begin[t]; i < best.token_begin[t + 1]; ++i) {
        const int32_t e = best.expert[static_cast<size_t>(i)];
        if (chosen.size() == 1 && choices() == 2 && e != chosen[0]) chosen.push_back(e);
      }
      out.append(chosen);
    }
    return out;
  }

  std::string name_;
  int64_t experts_;
  double threshold_;
  Parameter& weight_;
};

}  // namespace

RouterDescriptor router_st_moe() {
  Field threshold =
      make_field("second_threshold", FieldType::real, 0.2,
                 "in training the second expert is kept with probability min(1, its weight / "
                 "second_threshold); 0 = always");
  threshold.minimum = 0.0;
  RouterDescriptor out;
  out.name = "st_moe";
  out.help = "two experts per token, the second one kept at random, first choices placed first";
  out.fields = {threshold};
  out.make = [](const Options& options, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<StMoe>(options, inputs);
  };
  out.choices = [](const Options&) { return int64_t{2}; };
  out.balance_by_first_choice = true;
  // The weight of the second of two experts, divided by their sum.
  out.drawn_against = [](double first_score, double score) {
    return 1.0 / (1.0 + std::exp(first_score - score));
  };
  out.problem = [](const Options&, int64_t) { return std::string(); };
  out.balance_problem = [](const std::string& term, const Options&) -> std::string {
    return term == "load" ? "the smooth load needs the learned noise of router topk" : "";
  };
  return out;
}

}  // namespace troupe
