// Switch routing (Fedus et al. 2021, arXiv:2101.03961): one expert per token, its weight the
// probability of that expert, the router's input jittered in training.
#include "core/ops/arithmetic.h"
#include "core/ops/softmax.h"
#include "core/ops/view.h"
#include "moe/routers/parts/draws.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"
#include "moe/routers/parts/selection_bias.h"

namespace troupe {
namespace {

class Switch final : public Router {
 public:
  Switch(const Options& options, const RouterInputs& inputs)
      : Router(inputs),
        name_(inputs.name),
        experts_(inputs.experts),
        jitter_(options.real("jitter")),
        weight_(inputs.parameter("weight")),
        bias_(options.real("bias_update"), inputs.experts, inputs.name, inputs.precision,
              inputs.device) {}

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Tensor x_TD = cast(input.x_TD, weight_.compute());
    if (input.context.training && jitter_ > 0.0) {
      x_TD = mul(x_TD,
                 jitter_factors(input, name_, x_TD.dim(1), jitter_, x_TD.dtype(), x_TD.device()));
    }
    Routing out;
    out.logits_TE = router_logits(input, x_TD, weight_);
    out.probabilities_TE = softmax(out.logits_TE);
    out.selection_TE = out.logits_TE;
    if (replay != nullptr) {
      out.sparse() = replayed(*replay, input.context, experts_);
    } else if (bias_.active()) {
      out.sparse() = choose_experts(out.probabilities_TE, bias_.tensor(), 1, input.context);
    } else {
      out.sparse() = choose_experts(out.logits_TE, {}, 1, input.context);
    }
    out.sparse().weight =
        take_pairs(out.probabilities_TE, out.sparse().token_begin, out.sparse().expert);
    return out;
  }

  int64_t choices() const override { return 1; }
  void after_step(std::span<const int64_t> selected) override { bias_.move(selected); }
  void state(State& state) override { bias_.state(state); }

 private:
  std::string name_;
  int64_t experts_;
  double jitter_;
  Parameter& weight_;
  SelectionBias bias_;
};

}  // namespace

RouterDescriptor router_switch() {
  Field jitter =
      make_field("jitter", FieldType::real, 0.01,
                 "in training the router's input is multiplied by numbers from [1 - jitter, 1 + "
                 "jitter]");
  jitter.minimum = 0.0;
  jitter.maximum = 1.0;
  RouterDescriptor out;
  out.name = "switch";
  out.help = "each token goes to its most probable expert, with input jitter";
  out.fields = {jitter, bias_update_field()};
  out.make = [](const Options& options, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<Switch>(options, inputs);
  };
  out.choices = [](const Options&) { return int64_t{1}; };
  // A score, a probability, and what balance terms read; jittered, its input in its own type, the
  // factors and their product.
  out.memory = [](const Options& options, int64_t experts, int64_t balance_terms) {
    return RouterMemory{(2 + balance_terms) * experts, options.real("jitter") > 0 ? 3 : 0};
  };
  out.load_bias = [](const Options& options, int64_t experts) {
    return selection_bias_of(options, 1.0 / static_cast<double>(experts));
  };
  out.problem = [](const Options&, int64_t) { return std::string(); };
  out.balance_problem = [](const std::string& term, const Options&) -> std::string {
    return term == "load" ? "the smooth load needs the learned noise of router topk" : "";
  };
  return out;
}

}  // namespace troupe
