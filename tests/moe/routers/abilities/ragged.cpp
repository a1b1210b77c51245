// (d) A router that returns rows with no expert and rows with many: all experts whose sigmoid is
// above a threshold.
#include <algorithm>

#include "core/ops/activation.h"
#include "core/ops/softmax.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"
#include "tests/moe/routers/abilities/abilities.h"

namespace troupe::testing {
namespace {

constexpr double kThreshold = 0.62;

class Ragged final : public Router {
 public:
  explicit Ragged(const RouterInputs& inputs)
      : Router(inputs), experts_(inputs.experts), weight_(inputs.parameter("weight")) {}

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    out.logits_TE = out.selection_TE = router_logits(input, input.x_TD, weight_);
    out.probabilities_TE = softmax(out.logits_TE);
    const Tensor gate_TE = sigmoid(out.logits_TE);
    out.sparse() = replay != nullptr ? replayed(*replay, input.context, experts_)
                                     : choose(gate_TE.values(), input.context);
    out.sparse().weight = take_pairs(gate_TE, out.sparse().token_begin, out.sparse().expert);
    return out;
  }
  int64_t choices() const override { return 3; }  // about

 private:
  SparseAssignment choose(const std::vector<double>& gate, const TokenContext& context) const {
    SparseAssignment out = empty_assignment(experts_);
    for (int64_t t = 0; t < context.tokens(); ++t) {
      std::vector<int32_t> chosen;
      for (int64_t e = 0; context.is_valid(t) && e < experts_; ++e) {
        if (gate[static_cast<size_t>(t * experts_ + e)] > kThreshold)
          chosen.push_back(static_cast<int32_t>(e));
      }
      out.append(chosen);
    }
    return out;
  }

  int64_t experts_;
  Parameter& weight_;
};

}  // namespace

RouterDescriptor ragged_router() {
  RouterDescriptor out = described("ragged", 3);
  out.make = [](const Options&, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<Ragged>(inputs);
  };
  return out;
}

}  // namespace troupe::testing
