// One expert per token, its weight the probability of that expert.
#include "core/ops/softmax.h"
#include "core/ops/view.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"

namespace troupe {
namespace {

class Dummy final : public Router {
 public:
  Dummy(const Options& /*options*/, const RouterInputs& setup)
      : Router(setup), experts_(setup.experts), weight_(setup.parameter("weight")) {}

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    out.logits_TE = router_logits(input, cast(input.x_TD, weight_.compute()), weight_);
    out.probabilities_TE = softmax(out.logits_TE);
    out.selection_TE = out.logits_TE;
    out.sparse() = replay != nullptr ? replayed(*replay, input.context, experts_)
                                     : choose_experts(out.logits_TE, {}, 1, input.context);
    out.sparse().weight =
        take_pairs(out.probabilities_TE, out.sparse().token_begin, out.sparse().expert);
    return out;
  }

  int64_t choices() const override { return 1; }

 private:
  int64_t experts_;
  Parameter& weight_;
};

}  // namespace

RouterDescriptor router_dummy() {
  RouterDescriptor out;
  out.name = "dummy";
  out.help = "each token goes to its most probable expert";
  out.make = [](const Options& options, const RouterInputs& setup) -> std::unique_ptr<Router> {
    return std::make_unique<Dummy>(options, setup);
  };
  out.choices = [](const Options&) { return int64_t{1}; };
  out.problem = [](const Options&, int64_t) { return std::string(); };
  out.balance_problem = [](const std::string& term, const Options&) -> std::string {
    return term == "load" ? "the smooth load needs noise" : "";
  };
  return out;
}

}  // namespace troupe
