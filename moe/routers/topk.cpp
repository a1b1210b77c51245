// Top-k routing (Shazeer et al. 2017, arXiv:1701.06538) with the variants of its successors:
// softmax over all experts (Switch, Qwen), over the chosen ones (Mixtral), or sigmoid scores
// (DeepSeek-V3).
#include <fmt/core.h>

#include "core/base/error.h"
#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/softmax.h"
#include "moe/routers/parts/draws.h"
#include "moe/routers/parts/learned.h"
#include "moe/routers/parts/pair_ops.h"
#include "moe/routers/parts/selection_bias.h"

namespace troupe {
namespace {

enum class Score : uint8_t { softmax, softmax_after, sigmoid };

Score score_of(const std::string& text) {
  if (text == "softmax_after") return Score::softmax_after;
  return text == "sigmoid" ? Score::sigmoid : Score::softmax;
}

// The noise's standard deviation never falls below this (as in the code of Shazeer et al.).
constexpr double kNoiseFloor = 1e-2;

bool noisy(const Options& options) { return options.text("noise") == "learned"; }

class TopK final : public Router {
 public:
  TopK(const Options& options, const RouterInputs& inputs)
      : Router(inputs),
        name_(inputs.name),
        experts_(inputs.experts),
        top_k_(options.integer("top_k")),
        score_(score_of(options.text("score"))),
        renormalize_(options.boolean("renormalize")),
        scale_(options.real("scale")),
        weight_(inputs.parameter("weight")),
        noise_(noisy(options) ? &inputs.parameter("noise") : nullptr),
        bias_(options.real("bias_update"), inputs.experts, inputs.name, inputs.precision,
              inputs.device) {
    require(top_k_ >= 1 && top_k_ <= experts_, "top_k {} of {} experts", top_k_, experts_);
  }

  Routing route(const RouterInput& input, const SparseAssignment* replay) override {
    Routing out;
    out.logits_TE = router_logits(input, input.x_TD, weight_);
    Tensor noisy_TE = out.logits_TE;
    if (noise_ && input.context.training) noisy_TE = add_noise(input, out);
    out.selection_TE = noisy_TE;
    const Tensor scores_TE = scores(noisy_TE);
    out.probabilities_TE = probabilities(out.logits_TE);
    out.sparse() =
        replay != nullptr ? replayed(*replay, input.context, experts_) : choose(input, noisy_TE);
    out.sparse().weight = weights(scores_TE, out.sparse());
    return out;
  }

  int64_t choices() const override { return top_k_; }
  void after_step(std::span<const int64_t> selected) override { bias_.move(selected); }
  void state(State& state) override { bias_.state(state); }

 private:
  // Noisy logits: x W^T + N(0, 1) softplus(x Wn^T) (eq. 4); also the smooth load of eq. 9.
  Tensor add_noise(const RouterInput& input, Routing& out) {
    const Tensor& clean = out.logits_TE;
    const Tensor std_TE =
        affine(softplus(router_logits(input, input.x_TD, *noise_)), 1.0, kNoiseFloor);
    const Tensor normals =
        normal_noise(input.context, name_, experts_, clean.dtype(), clean.device());
    Tensor noisy = add(clean, mul(std_TE, normals));
    out.load_TE = smooth_load(clean, noisy, std_TE, top_k_);
    return noisy;
  }

  // What weights are taken from.
  Tensor scores(const Tensor& noisy_TE) const {
    switch (score_) {
      case Score::softmax:
        return softmax(noisy_TE);
      case Score::sigmoid:
        return sigmoid(noisy_TE);
      case Score::softmax_after:
        break;
    }
    return noisy_TE;
  }

  // Rows that sum to 1, for balance terms: of the logits without noise. Sigmoids over their sum are
  // the softmax of their logarithms, which stays right where all of them are tiny.
  Tensor probabilities(const Tensor& logits_TE) const {
    if (score_ != Score::sigmoid) return softmax(logits_TE);
    return softmax(scale(softplus(scale(logits_TE, -1.0)), -1.0));
  }

  // Without a bias the order of the logits is that of any score, and does not saturate.
  SparseAssignment choose(const RouterInput& input, const Tensor& noisy_TE) const {
    if (!bias_.active()) return choose_experts(noisy_TE, {}, top_k_, input.context);
    const Tensor plain = noisy_TE.detach();
    const Tensor by = score_ == Score::sigmoid ? sigmoid(plain) : softmax(plain);
    return choose_experts(by, bias_.tensor(), top_k_, input.context);
  }

  Tensor weights(const Tensor& scores_TE, const SparseAssignment& assignment) const {
    Tensor w = take_pairs(scores_TE, assignment.token_begin, assignment.expert);
    if (score_ == Score::softmax_after) {
      w = softmax_pairs(w, assignment.token_begin);
    } else if (renormalize_) {
      w = normalise_pairs(w, assignment.token_begin);
    }
    return scale_ == 1.0 ? w : scale(w, scale_);
  }

  std::string name_;
  int64_t experts_;
  int64_t top_k_;
  Score score_;
  bool renormalize_;
  double scale_;
  Parameter& weight_;
  Parameter* noise_;  // null = none
  SelectionBias bias_;
};

// A single chosen expert whose weight is divided by itself: no matter what the router says.
std::vector<std::string> warnings(const Options& options, bool balanced) {
  if (options.integer("top_k") != 1) return {};
  const bool after = options.text("score") == "softmax_after";
  if (!after && !options.boolean("renormalize")) return {};
  return {fmt::format(
      "router topk with top_k: 1 and {} gives every token the weight 1, so the LM loss has no "
      "gradient for the router{}; write {}",
      after ? "score: softmax_after" : "renormalize: true",
      balanced ? " and only balancing moves it" : " and nothing trains it",
      after ? "score: softmax and renormalize: false" : "renormalize: false (or type: switch)")};
}

FieldList fields() {
  Field top_k = make_field("top_k", FieldType::integer, int64_t{2}, "experts per token");
  top_k.minimum = 1;
  Field score = make_field(
      "score", FieldType::choice, std::string("softmax"),
      "gate weights from a softmax over all experts, over the chosen ones (softmax_after), "
      "or a sigmoid");
  score.choices = {"softmax", "softmax_after", "sigmoid"};
  Field renormalize = make_field("renormalize", FieldType::boolean, true,
                                 "divide a token's gate weights by their sum");
  Field scale = make_field("scale", FieldType::real, 1.0, "factor on the gate weights");
  scale.minimum = 0.0;
  scale.exclusive_minimum = true;
  Field noise =
      make_field("noise", FieldType::choice, std::string("none"),
                 "noise on the logits in training: none, or normal with a learned deviation");
  noise.choices = {"none", "learned"};
  return {top_k, score, renormalize, scale, noise, bias_update_field()};
}

std::optional<ScoredChoice> scored_choice(const Options& options) {
  if (noisy(options) || options.real("bias_update") != 0) return std::nullopt;
  ScoredChoice choice;
  choice.top_k = options.integer("top_k");
  choice.renormalize = options.boolean("renormalize");
  choice.scale = options.real("scale");
  switch (score_of(options.text("score"))) {
    case Score::softmax:
      break;
    case Score::softmax_after:
      choice.score = ScoredChoice::Score::softmax_of_chosen;
      choice.renormalize = false;
      break;
    case Score::sigmoid:
      choice.score = ScoredChoice::Score::sigmoid;
  }
  return choice;
}

Options options_of(const ScoredChoice& choice) {
  Options options(fields());
  options.set("top_k", choice.top_k);
  options.set("renormalize", choice.renormalize);
  options.set("scale", choice.scale);
  const char* score = "softmax";
  if (choice.score == ScoredChoice::Score::softmax_of_chosen) score = "softmax_after";
  if (choice.score == ScoredChoice::Score::sigmoid) score = "sigmoid";
  options.set("score", std::string(score));
  return options;
}

}  // namespace

RouterDescriptor router_topk() {
  RouterDescriptor out;
  out.name = "topk";
  out.help = "each token goes to the experts with its k largest logits";
  out.fields = fields();
  out.make = [](const Options& options, const RouterInputs& inputs) -> std::unique_ptr<Router> {
    return std::make_unique<TopK>(options, inputs);
  };
  out.choices = [](const Options& options) { return options.integer("top_k"); };
  out.choices_option = "top_k";
  out.parameters = [](const Options& options, const RouterInputs& inputs) {
    std::vector<ParameterSpec> list{
        router_matrix(inputs, "weight", inputs.experts, inputs.init_std)};
    if (noisy(options)) list.push_back(router_matrix(inputs, "noise", inputs.experts, 0.0));
    return list;
  };
  out.problem = [](const Options& options, int64_t experts) -> std::string {
    const int64_t k = options.integer("top_k");
    if (k <= experts) return "";
    return fmt::format("top_k {} of {} experts; at most {}", k, experts, experts);
  };
  out.unread = [](const Options& options) -> std::vector<UnreadOption> {
    if (options.text("score") != "softmax_after") return {};
    return {{"renormalize", "score softmax_after makes the chosen weights sum to 1"}};
  };
  out.warnings = warnings;
  // Scores, probabilities, what balance terms read; with noise also its deviation, before and after
  // the softplus, the draws and the noisy scores.
  out.memory = [](const Options& options, int64_t experts, int64_t balance_terms) {
    return RouterMemory{(2 + balance_terms + (noisy(options) ? 4 : 0)) * experts};
  };
  out.load_bias = [](const Options& options, int64_t experts) {
    const bool sigmoid = options.text("score") == "sigmoid";
    return selection_bias_of(options, sigmoid ? 0.5 : 1.0 / static_cast<double>(experts));
  };
  out.gives_load = noisy;
  out.balance_option = "noise";
  out.scored_choice = scored_choice;
  out.options_of = options_of;
  out.balance_problem = [](const std::string& term, const Options& options) -> std::string {
    if (term == "load" && !noisy(options))
      return "the smooth load is made from the noise: it needs router.noise learned";
    return "";
  };
  return out;
}

}  // namespace troupe
