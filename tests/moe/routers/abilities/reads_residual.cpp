// (a) A router that reads another tensor than the experts do.
#include "core/ops/softmax.h"
#include "core/ops/view.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"
#include "tests/moe/routers/abilities/abilities.h"

namespace troupe::testing {
namespace {

class ReadsResidual final : public Router {
 public:
  explicit ReadsResidual(const RouterInputs& inputs)
      : Router(inputs), experts_(inputs.experts), weight_(inputs.parameter("weight")) {}

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    out.logits_TE = out.selection_TE = router_logits(input, input.residual_TD, weight_);
    out.probabilities_TE = softmax(out.logits_TE);
    out.sparse() = replay != nullptr ? replayed(*replay, input.context, experts_)
                                     : choose_experts(out.logits_TE, {}, 2, input.context);
    out.sparse().weight =
        take_pairs(out.probabilities_TE, out.sparse().token_begin, out.sparse().expert);
    return out;
  }
  int64_t choices() const override { return 2; }

 private:
  int64_t experts_;
  Parameter& weight_;
};

}  // namespace

RouterDescriptor reads_residual_router() {
  RouterDescriptor out = described("reads_residual", 2);
  out.reads_residual = true;
  out.make = [](const Options&, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<ReadsResidual>(inputs);
  };
  return out;
}

}  // namespace troupe::testing
