// (c) A router that gives a weight its own backward: every gate weight is 1, and its gradient is
// that of the probability of the chosen expert (straight through).
#include "core/autograd/tape.h"
#include "core/ops/softmax.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"
#include "tests/moe/routers/abilities/abilities.h"

namespace troupe::testing {
namespace {

Tensor straight_through(const Tensor& probability_P) {
  const Operator op("straight_through", probability_P.stream());
  Tensor ones =
      Tensor::full(probability_P.shape(), probability_P.dtype(), 1.0, probability_P.device());
  return record(op, std::move(ones), {probability_P},
                [](const Tensor& g, InputGradients& to) { to.add(0, g); });
}

class OwnBackward final : public Router {
 public:
  explicit OwnBackward(const RouterInputs& inputs)
      : Router(inputs), experts_(inputs.experts), weight_(inputs.parameter("weight")) {}

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    out.logits_TE = out.selection_TE = router_logits(input, input.x_TD, weight_);
    out.probabilities_TE = softmax(out.logits_TE);
    out.sparse() = replay != nullptr ? replayed(*replay, input.context, experts_)
                                     : choose_experts(out.logits_TE, {}, 1, input.context);
    out.sparse().weight = straight_through(
        take_pairs(out.probabilities_TE, out.sparse().token_begin, out.sparse().expert));
    return out;
  }
  int64_t choices() const override { return 1; }

 private:
  int64_t experts_;
  Parameter& weight_;
};

}  // namespace

RouterDescriptor own_backward_router() {
  RouterDescriptor out = described("own_backward", 1);
  out.make = [](const Options&, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<OwnBackward>(inputs);
  };
  return out;
}

}  // namespace troupe::testing
