// Balance terms as losses that are exact under any split of the batch over ranks and micro-batches:
// every rank and micro-batch gives its share, and the shares only ever sum.
//
// With E experts, k choices per token, p the router's probabilities, and for a set of valid tokens
// of size T: f_e = (pairs on e before drops) / (k T), P_e = mean of p_e, L_e = mean of the smooth
// load of e. (ST-MoE: f from first choices, k = 1.)
//   switch      E sum_e f_e P_e             (Fedus et al. 2021, eq. 4); uniform routing gives 1
//   z           mean of logsumexp(logits)^2 (Zoph et al. 2022, eq. 5)
//   importance  E sum_e P_e^2 - 1           squared coefficient of variation of the summed p
//   load        E sum_e L_e^2 / (sum_e L_e)^2 - 1   (Shazeer et al. 2017, eq. 11; V-MoE appendix A)
// Scopes:
//   sequence      the term of each global sequence, / global_sequences
//   microbatch    the term of each block of `micro_batch` consecutive global samples, / blocks
//   global_batch  f, P or L of the previous step's whole batch (uniform at first, kept in the
//                 checkpoint) times this batch's: switch E sum f' P; importance E sum P' P - 1;
//                 load E sum l' L / k - 1 with l' = L' / sum L'; z the mean over the batch's
//                 tokens. Sums over tokens are divided by global_tokens.
//   global_batch_exact  f, P and L of this step's whole batch: the term of the batch as one set.
//                 Only where every forward of the step precedes its first backward; values are
//                 known then, too (BatchTotals).
// Under a router that decides in levels (a group, then experts in it) a term is the sum of those of
// the levels.
// A sequence or block without valid tokens gives 0.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/field.h"
#include "core/nn/token_context.h"
#include "core/tensor/tensor.h"
#include "moe/balance/balance_term.h"
#include "moe/balance/batch_totals.h"
#include "moe/routers/router.h"

namespace troupe {

// The previous step's whole batch, for scope global_batch. All zero = uniform.
struct BatchLoad {
  std::vector<double> fraction;     // f', sums to 1
  std::vector<double> probability;  // P', sums to 1
  std::vector<double> load;         // l', sums to 1
};

// One term's share of this micro-batch on this rank.
struct LossTerm {
  std::string type;
  BalanceScope scope = BalanceScope::sequence;
  double coef = 0.0;
  // One element, router precision; coefficient and normaliser are inside: add it to the roots of
  // backward as it is. Summed over ranks and micro-batches its value is coef * term. Of scope
  // global_batch_exact it is 0 until the batch is known.
  Tensor value;
};

struct BalanceInput {
  const Routing& routing;
  const SparseAssignment& assignment;  // that of `routing`
  const TokenContext& context;
  const BatchLoad& previous;
  int64_t choices = 1;                          // k
  bool by_first_choice = false;                 // f counts first choices (k = 1)
  std::shared_ptr<ExactBatch> exact = nullptr;  // for scope global_batch_exact
};

// Is this term's value known only with the whole batch (global_batch_exact, but for z)?
bool waits_for_batch(const BalanceTerm& term);

std::vector<LossTerm> balance_losses(std::span<const BalanceTerm> terms, const BalanceInput& input);

// Why this term cannot be used with this router (it would have no gradient), or "".
std::string balance_problem(const BalanceTerm& term, const std::string& router,
                            const Options& router_options);

}  // namespace troupe
