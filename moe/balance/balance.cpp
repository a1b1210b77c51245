#include "moe/balance/balance.h"

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/kernels/elementwise.h"
#include "core/ops/activation.h"
#include "core/ops/softmax.h"
#include "core/ops/view.h"
#include "moe/balance/segment_loss.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

// The token sets over which a term is taken, each with its share of the whole.
struct Segments {
  Groups groups;
  double share = 0.0;  // 1 / number of sets in the whole batch
  bool whole_batch = false;
};

Segments segments_of(BalanceScope scope, const TokenContext& context) {
  Segments out;
  if (scope == BalanceScope::microbatch) {
    require(context.micro_batch > 0, "scope microbatch without a micro-batch size");
    out.groups = sample_blocks(context.micro_batch, context);
    const int64_t blocks =
        (context.global_sequences + context.micro_batch - 1) / context.micro_batch;
    out.share = blocks > 0 ? 1.0 / static_cast<double>(blocks) : 0.0;
    return out;
  }
  out.groups = sample_blocks(1, context);
  out.share =
      context.global_sequences > 0 ? 1.0 / static_cast<double>(context.global_sequences) : 0.0;
  if (scope == BalanceScope::sequence) return out;
  // One set: the whole batch, of which this micro-batch gives its tokens' part.
  out.whole_batch = true;
  int64_t tokens = 0;
  for (int32_t& group : out.groups.group) {
    if (group < 0) continue;
    group = 0;
    ++tokens;
  }
  out.groups.size.assign(1, tokens);
  out.share = context.global_tokens > 0 ? 1.0 / static_cast<double>(context.global_tokens) : 0.0;
  return out;
}

// What the sums of each set are multiplied by: the mean of the only column over it.
std::vector<double> mean_weights(const Segments& sets) {
  std::vector<double> out;
  for (const int64_t size : sets.groups.size) {
    const auto tokens = static_cast<double>(size);
    out.push_back(sets.whole_batch ? sets.share : (tokens > 0.0 ? sets.share / tokens : 0.0));
  }
  return out;
}

// E sum_e f_e P_e of each set; fractions: [segments * E].
std::vector<double> dot_weights(const std::vector<double>& fractions, const Segments& sets,
                                int64_t experts) {
  const std::vector<double> mean = mean_weights(sets);
  std::vector<double> out;
  for (size_t i = 0; i < fractions.size(); ++i) {
    out.push_back(static_cast<double>(experts) * fractions[i] *
                  mean[i / static_cast<size_t>(experts)]);
  }
  return out;
}

// What one level of a decision is balanced over: its experts, or groups of them.
struct Level {
  int64_t bins = 0;
  std::vector<int32_t> bin;  // [E]
  Tensor logits;             // [T, bins]
  Tensor probabilities;
  Tensor load;

  // [E] -> [bins]; an empty list stays empty.
  std::vector<double> fold(const std::vector<double>& of_experts) const {
    if (of_experts.empty()) return {};
    std::vector<double> out(static_cast<size_t>(bins), 0.0);
    for (size_t e = 0; e < of_experts.size(); ++e)
      out[static_cast<size_t>(bin[e])] += of_experts[e];
    return out;
  }
};

std::vector<Level> levels_of(const Routing& routing, int64_t number_of_experts) {
  std::vector<Level> out;
  for (const RoutingLevel& level : routing.levels)
    out.push_back({level.bins, level.bin, level.logits_TB, level.probabilities_TB, {}});
  if (!out.empty()) return out;
  Level experts{
      number_of_experts, {}, routing.logits_TE, routing.probabilities_TE, routing.load_TE};
  for (int64_t e = 0; e < experts.bins; ++e) experts.bin.push_back(static_cast<int32_t>(e));
  return {experts};
}

// Fractions of the pairs of each set that go to each bin: [segments * bins].
std::vector<double> routed_fractions(const SparseAssignment& assignment, const Level& level,
                                     const Groups& groups, int64_t choices, bool first_only) {
  const int64_t bins = level.bins;
  std::vector<double> out(static_cast<size_t>(groups.count() * bins), 0.0);
  for (size_t t = 0; t < groups.group.size(); ++t) {
    if (groups.group[t] < 0) continue;
    const int64_t begin = assignment.token_begin[t];
    const int64_t end = first_only ? std::min(begin + 1, assignment.token_begin[t + 1])
                                   : assignment.token_begin[t + 1];
    for (int64_t i = begin; i < end; ++i) {
      const auto expert = static_cast<size_t>(assignment.expert[static_cast<size_t>(i)]);
      out[static_cast<size_t>(groups.group[t] * bins + level.bin[expert])] += 1.0;
    }
  }
  const auto k = static_cast<double>(first_only ? 1 : choices);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] /= k * static_cast<double>(groups.size[i / static_cast<size_t>(bins)]);
  }
  return out;
}

std::vector<double> uniform_unless(const std::vector<double>& given, int64_t experts) {
  if (!given.empty()) return given;
  return std::vector<double>(static_cast<size_t>(experts), 1.0 / static_cast<double>(experts));
}

// -1 of the whole-batch forms of importance and load, by this micro-batch's part of the tokens.
double minus_one(const Segments& sets) {
  return -static_cast<double>(sets.groups.size[0]) * sets.share;
}

// The tensor that a term's slope belongs to: [T, bins], or [T, 1] for z.
Tensor values_of(const BalanceTerm& term, const Level& level) {
  if (term.type == "z") {
    const Tensor z = square(logsumexp(level.logits));
    return reshape(z, Shape{z.dim(0), 1});
  }
  const Tensor& of = term.type == "load" ? level.load : level.probabilities;
  require(of.defined(), "balance term {} under a router that gives nothing for it", term.type);
  return of;
}

Tensor term_loss(const BalanceTerm& term, const BalanceInput& input, const Level& level,
                 const Segments& sets, const SegmentSums& sums) {
  if (term.type == "z") return weighted_loss(sums, mean_weights(sets), {.factor = term.coef});
  if (term.type == "switch") {
    const std::vector<double> f =
        sets.whole_batch ? uniform_unless(level.fold(input.previous.fraction), level.bins)
                         : routed_fractions(input.assignment, level, sets.groups, input.choices,
                                            input.by_first_choice);
    return weighted_loss(sums, dot_weights(f, sets, level.bins), {.factor = term.coef});
  }
  if (!sets.whole_batch) return variation_loss(sums, sets.share, term.coef);
  std::vector<double> before;
  if (term.type == "importance") {
    before = uniform_unless(level.fold(input.previous.probability), level.bins);
  } else {
    before = uniform_unless(level.fold(input.previous.load), level.bins);
    for (double& l : before) l /= static_cast<double>(input.choices);
  }
  return weighted_loss(sums, dot_weights(before, sets, level.bins),
                       {.last = minus_one(sets), .factor = term.coef});
}

// What this micro-batch gives to the term of the whole batch as one set.
struct ExactLoss {
  double first = 0.0;
  std::vector<double> weights;  // [bins]: the value is first + weights . sums
  std::vector<double> slope;
};

ExactLoss exact_loss(const BalanceTerm& term, const Level& level, const BatchTotals& totals,
                     int64_t choices, double tokens) {
  const auto bins = static_cast<double>(level.bins);
  ExactLoss out;
  if (term.type == "switch") {
    for (const double pairs : level.fold(totals.pairs)) {
      const double f = pairs / (static_cast<double>(choices) * totals.tokens);
      out.weights.push_back(bins * f / totals.tokens);
    }
    out.slope = out.weights;
    return out;
  }
  const std::vector<double> whole =
      level.fold(term.type == "load" ? totals.load : totals.probability);
  double total = 0.0;
  double squares = 0.0;
  for (const double s : whole) {
    total += s;
    squares += s * s;
  }
  const double scale = bins / (total * total);
  out.first = -tokens / totals.tokens;
  for (const double s : whole) {
    out.weights.push_back(scale * s);
    out.slope.push_back(2.0 * scale * (s - squares / total));
  }
  return out;
}

// A loss whose value and slope come with the totals of the batch.
Tensor loss_when_known(const BalanceTerm& term, const BalanceInput& input, const Level& level,
                       const Segments& sets, const SegmentSums& sums) {
  require(input.exact != nullptr, "scope global_batch_exact without a batch to wait for");
  const int64_t choices = input.by_first_choice ? 1 : input.choices;
  const auto tokens = static_cast<double>(sets.groups.size[0]);
  // The level without its tensors, which belong to the tape.
  const Level plain{level.bins, level.bin, {}, {}, {}};
  const auto loss = [term, plain, choices, tokens](const BatchTotals& totals) {
    return exact_loss(term, plain, totals, choices, tokens);
  };
  const Tensor value = Tensor::zeros(Shape{}, sums.x_TE.dtype(), sums.x_TE.device());
  input.exact->when_known(
      [value, loss, sums_SE = sums.sums_SE, coef = term.coef](const BatchTotals& totals) {
        if (totals.tokens <= 0.0) return;
        const ExactLoss known = loss(totals);
        write_weighted(sums_SE, known.weights, {.first = known.first, .factor = coef}, value);
      });
  const auto slope = [loss, exact = input.exact, n = static_cast<size_t>(level.bins)] {
    if (exact->totals().tokens <= 0.0) return std::vector<double>(n, 0.0);
    return loss(exact->totals()).slope;
  };
  return loss_later(sums, value, slope, term.coef);
}

// One loss of those of all levels; its value comes with theirs.
Tensor sum_of_levels(const std::vector<Tensor>& losses, ExactBatch* exact) {
  if (losses.size() == 1) return losses.front();
  const Operator op("balance levels", losses.front().stream());
  const Tensor value = Tensor::zeros(Shape{}, losses.front().dtype(), losses.front().device());
  std::vector<Tensor> parts;
  parts.reserve(losses.size());
  for (const Tensor& loss : losses) parts.push_back(loss.detach());
  const auto fill = [value, parts = std::move(parts)](const BatchTotals&) {
    for (const Tensor& part : parts)
      kernels::add(value.stream(), value.view(), part.view(), value.view());
  };
  if (exact != nullptr) {
    exact->when_known(fill);
  } else {
    fill({});
  }
  return record(op, value, std::span<const Tensor>(losses),
                [n = losses.size()](const Tensor& g, InputGradients& inputs) {
                  for (size_t i = 0; i < n; ++i) inputs.add(static_cast<int>(i), g);
                });
}

}  // namespace

bool waits_for_batch(const BalanceTerm& term) {
  return term.scope == BalanceScope::global_batch_exact && term.type != "z";
}

std::vector<LossTerm> balance_losses(std::span<const BalanceTerm> terms,
                                     const BalanceInput& input) {
  std::vector<LossTerm> out;
  const std::vector<Level> levels = levels_of(input.routing, input.assignment.experts);
  for (const BalanceTerm& term : terms) {
    const Segments sets = segments_of(term.scope, input.context);
    std::vector<Tensor> losses;
    for (const Level& level : levels) {
      const SegmentSums sums =
          segment_sums(values_of(term, level), sets.groups.group, sets.groups.count());
      losses.push_back(waits_for_batch(term) ? loss_when_known(term, input, level, sets, sums)
                                             : term_loss(term, input, level, sets, sums));
    }
    out.push_back({term.type, term.scope, term.coef,
                   sum_of_levels(losses, waits_for_batch(term) ? input.exact.get() : nullptr)});
  }
  return out;
}

std::string balance_problem(const BalanceTerm& term, const std::string& router,
                            const Options& router_options) {
  const RouterDescriptor* descriptor = find_router(router);
  if (descriptor == nullptr) return "";
  return descriptor->balance_problem(term.type, router_options);
}

}  // namespace troupe
