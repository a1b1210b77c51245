#include "moe/balance/balance.h"

#include "core/base/error.h"
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
  if (scope != BalanceScope::global_batch) return out;
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

struct Loss {
  double value = 0.0;
  std::vector<double> slope;  // [segments * columns]
};

// Mean of the only column over each set.
Loss mean_loss(const Tensor& x_T1, const Segments& sets) {
  const std::vector<double> sums = segment_sums(x_T1, sets.groups.group, sets.groups.count());
  Loss out;
  for (size_t s = 0; s < sums.size(); ++s) {
    const auto tokens = static_cast<double>(sets.groups.size[s]);
    out.slope.push_back(sets.whole_batch ? sets.share : sets.share / tokens);
    out.value += tokens > 0.0 ? out.slope.back() * sums[s] : 0.0;
  }
  return out;
}

// E sum_e f_e P_e of each set; fractions: [segments * E].
Loss dot_loss(const std::vector<double>& sums, const std::vector<double>& fractions,
              const Segments& sets, int64_t experts) {
  Loss out;
  for (size_t i = 0; i < sums.size(); ++i) {
    const auto tokens = static_cast<double>(sets.groups.size[i / static_cast<size_t>(experts)]);
    const double weight =
        sets.whole_batch ? sets.share : (tokens > 0.0 ? sets.share / tokens : 0.0);
    out.slope.push_back(static_cast<double>(experts) * fractions[i] * weight);
    out.value += out.slope.back() * sums[i];
  }
  return out;
}

// E sum_e S_e^2 / (sum_e S_e)^2 - 1 of each set: the squared coefficient of variation.
Loss variation_loss(const std::vector<double>& sums, const Segments& sets, int64_t experts) {
  Loss out;
  const auto columns = static_cast<size_t>(experts);
  for (size_t s = 0; s < sums.size() / columns; ++s) {
    double total = 0.0;
    double squares = 0.0;
    for (size_t e = 0; e < columns; ++e) {
      total += sums[s * columns + e];
      squares += sums[s * columns + e] * sums[s * columns + e];
    }
    const bool empty = total <= 0.0;
    const double scale = empty ? 0.0 : sets.share * static_cast<double>(experts) / (total * total);
    out.value += empty ? 0.0 : scale * squares - sets.share;
    for (size_t e = 0; e < columns; ++e) {
      out.slope.push_back(empty ? 0.0 : 2.0 * scale * (sums[s * columns + e] - squares / total));
    }
  }
  return out;
}

// Fractions of the pairs of each set that go to each expert: [segments * E].
std::vector<double> routed_fractions(const Assignment& assignment, const Groups& groups,
                                     int64_t choices, bool first_only) {
  const int64_t experts = assignment.experts;
  std::vector<double> out(static_cast<size_t>(groups.count() * experts), 0.0);
  for (size_t t = 0; t < groups.group.size(); ++t) {
    if (groups.group[t] < 0) continue;
    const int64_t begin = assignment.token_begin[t];
    const int64_t end = first_only ? std::min(begin + 1, assignment.token_begin[t + 1])
                                   : assignment.token_begin[t + 1];
    for (int64_t i = begin; i < end; ++i) {
      out[static_cast<size_t>(groups.group[t] * experts +
                              assignment.expert[static_cast<size_t>(i)])] += 1.0;
    }
  }
  const auto k = static_cast<double>(first_only ? 1 : choices);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] /= k * static_cast<double>(groups.size[i / static_cast<size_t>(experts)]);
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

// The loss of one term and the tensor that its slope belongs to.
Loss term_loss(const BalanceTerm& term, const BalanceInput& input, const Segments& sets,
               Tensor& of) {
  const Routing& routing = input.routing;
  if (term.type == "z") {
    const Tensor z = square(logsumexp(routing.logits_TE));
    of = reshape(z, Shape{z.dim(0), 1});
    return mean_loss(of, sets);
  }
  of = term.type == "load" ? routing.load_TE : routing.probabilities_TE;
  require(of.defined(), "balance term {} under a router that gives nothing for it", term.type);
  const int64_t experts = of.dim(1);
  std::vector<double> sums = segment_sums(of, sets.groups.group, sets.groups.count());
  if (term.type == "switch") {
    const std::vector<double> f = sets.whole_batch
                                      ? uniform_unless(input.previous.fraction, experts)
                                      : routed_fractions(routing.assignment, sets.groups,
                                                         input.choices, input.by_first_choice);
    return dot_loss(sums, f, sets, experts);
  }
  if (!sets.whole_batch) return variation_loss(sums, sets, experts);
  Loss out;
  if (term.type == "importance") {
    out = dot_loss(sums, uniform_unless(input.previous.probability, experts), sets, experts);
  } else {
    std::vector<double> before = uniform_unless(input.previous.load, experts);
    for (double& l : before) l /= static_cast<double>(input.choices);
    out = dot_loss(sums, before, sets, experts);
  }
  out.value += minus_one(sets);
  return out;
}

}  // namespace

std::vector<LossTerm> balance_losses(std::span<const BalanceTerm> terms,
                                     const BalanceInput& input) {
  std::vector<LossTerm> out;
  for (const BalanceTerm& term : terms) {
    const Segments sets = segments_of(term.scope, input.context);
    Tensor of;
    Loss loss = term_loss(term, input, sets, of);
    for (double& slope : loss.slope) slope *= term.coef;
    out.push_back(
        {term.type, term.scope, term.coef,
         segment_loss(of, term.coef * loss.value, std::move(loss.slope), sets.groups.group)});
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
