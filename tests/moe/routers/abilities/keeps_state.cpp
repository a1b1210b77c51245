// (b) A router that keeps state over steps: a running mean of each expert's share of the load, a
// multiple of which it takes from the scores that choose.
#include <numeric>

#include "core/ops/arithmetic.h"
#include "core/ops/softmax.h"
#include "core/ops/view.h"
#include "core/tensor/host_memory.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"
#include "tests/moe/routers/abilities/abilities.h"

namespace troupe::testing {
namespace {

class KeepsState final : public Router {
 public:
  explicit KeepsState(const RouterInputs& inputs)
      : Router(inputs),
        name_(inputs.name),
        experts_(inputs.experts),
        weight_(inputs.parameter("weight")),
        share_(Tensor::zeros(Shape{experts_}, DType::f64, inputs.device, MemoryKind::parameter)) {}

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    out.logits_TE = out.selection_TE = router_logits(input, input.x_TD, weight_);
    out.probabilities_TE = softmax(out.logits_TE);
    const Tensor against = cast(scale(share_, -4.0), out.logits_TE.dtype());
    out.sparse() = replay != nullptr ? replayed(*replay, input.context, experts_)
                                     : choose_experts(out.logits_TE, against, 1, input.context);
    out.sparse().weight =
        take_pairs(out.probabilities_TE, out.sparse().token_begin, out.sparse().expert);
    return out;
  }
  int64_t choices() const override { return 1; }
  void after_step(std::span<const int64_t> selected) override {
    const auto all =
        static_cast<double>(std::accumulate(selected.begin(), selected.end(), int64_t{0}));
    const auto shares = host_update<double>(share_);
    for (size_t e = 0; e < selected.size(); ++e) {
      double& share = shares[static_cast<int64_t>(e)];
      share = 0.5 * share + 0.5 * static_cast<double>(selected[e]) / all;
    }
  }
  void state(State& state) override {
    state.tensors.push_back(replicated_state("router/" + name_ + ".share", share_));
  }

 private:
  std::string name_;
  int64_t experts_;
  Parameter& weight_;
  Tensor share_;  // [E]
};

}  // namespace

RouterDescriptor keeps_state_router() {
  RouterDescriptor out = described("keeps_state", 1);
  out.make = [](const Options&, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<KeepsState>(inputs);
  };
  return out;
}

}  // namespace troupe::testing
