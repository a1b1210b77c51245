// (e) Routers that ask for outputs of experts before they decide: of two chosen ones, whose weights
// follow from how large their outputs are, or of all, of which the two largest are chosen.
#include <numeric>

#include "core/ops/activation.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"
#include "core/ops/view.h"
#include "core/ops/wide_linear.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"
#include "moe/routers/parts/select.h"
#include "tests/moe/routers/abilities/abilities.h"

namespace troupe::testing {
namespace {

// How large the outputs of the experts are that every row of x asks for, n each: [rows, n], of
// the whole micro-batch.
Tensor sizes(const RouterInput& input, const SparseAssignment& asked, int64_t n, DType precision) {
  const Tensor outputs_PD = cast(input.outputs(asked), precision);
  const Tensor own = reshape(mean(square(outputs_PD), 1), {asked.tokens, n});
  return input.gather ? input.gather(own) : own;
}

class AsksChosen final : public Router {
 public:
  explicit AsksChosen(const RouterInputs& inputs)
      : Router(inputs), experts_(inputs.experts), weight_(inputs.parameter("weight")) {}

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    const Tensor own_TE = wide_linear(input.x_TD, weight_);
    out.logits_TE = out.selection_TE = input.gather ? input.gather(own_TE) : own_TE;
    out.probabilities_TE = softmax(out.logits_TE);
    out.sparse() = replay != nullptr ? replayed(*replay, input.context, experts_)
                                     : choose_experts(out.logits_TE, {}, 2, input.context);
    // Every row asks alike, padding too: the table of sizes has no holes.
    const Tensor size_T2 = sizes(input, two_of_each(own_TE), 2, out.logits_TE.dtype());
    std::vector<int32_t> place(out.sparse().expert.size());
    for (size_t i = 0; i < place.size(); ++i) place[i] = static_cast<int32_t>(i % 2);
    const Tensor by_size = sigmoid(take_pairs(size_T2, out.sparse().token_begin, place));
    out.sparse().weight = by_size;
    return out;
  }
  int64_t choices() const override { return 2; }

 private:
  SparseAssignment two_of_each(const Tensor& own_TE) const {
    const std::vector<int32_t> best = top_k(own_TE, {}, 2);
    SparseAssignment out = empty_assignment(experts_);
    for (int64_t row = 0; row < own_TE.dim(0); ++row)
      out.append(std::span<const int32_t>(best.data() + 2 * row, 2));
    return out;
  }

  int64_t experts_;
  Parameter& weight_;
};

class AsksAll final : public Router {
 public:
  explicit AsksAll(const RouterInputs& inputs)
      : Router(inputs), experts_(inputs.experts), precision_(inputs.precision) {}

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    std::vector<int32_t> all(static_cast<size_t>(experts_));
    std::iota(all.begin(), all.end(), 0);
    SparseAssignment asked = empty_assignment(experts_);
    for (int64_t row = 0; row < input.x_TD.dim(0); ++row) asked.append(all);
    Routing out;
    out.logits_TE = out.selection_TE = log(sizes(input, asked, experts_, precision_));
    out.probabilities_TE = softmax(out.logits_TE);
    out.sparse() = replay != nullptr ? replayed(*replay, input.context, experts_)
                                     : choose_experts(out.logits_TE, {}, 2, input.context);
    out.sparse().weight = normalise_pairs(
        take_pairs(out.probabilities_TE, out.sparse().token_begin, out.sparse().expert),
        out.sparse().token_begin);
    return out;
  }
  int64_t choices() const override { return 2; }

 private:
  int64_t experts_;
  DType precision_;
};

}  // namespace

RouterDescriptor asks_chosen_router() {
  RouterDescriptor out = described("asks_chosen", 2);
  out.make = [](const Options&, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<AsksChosen>(inputs);
  };
  return out;
}

RouterDescriptor asks_all_router() {
  RouterDescriptor out = described("asks_all", 2);
  out.has_parameters = false;
  out.make = [](const Options&, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<AsksAll>(inputs);
  };
  return out;
}

}  // namespace troupe::testing
