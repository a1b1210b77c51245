#include "moe/dispatch/capacity.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/base/error.h"

namespace troupe {

int64_t capacity(int64_t choices, int64_t group_tokens, double factor, int64_t experts,
                 int64_t min_capacity) {
  const double share = static_cast<double>(choices) * static_cast<double>(group_tokens) * factor /
                       static_cast<double>(experts);
  // Beyond 2^53 (an infinite factor too) nothing is ever dropped.
  if (!(share < 9e15)) return int64_t{1} << 53;
  return std::max(min_capacity, static_cast<int64_t>(std::ceil(share - 1e-9)));
}

void apply_capacity(const CapacityRule& rule, const Groups& groups, std::span<const double> weights,
                    SparseAssignment& assignment) {
  const bool by_gate = rule.priority == Priority::gate;
  require(!by_gate || static_cast<int64_t>(weights.size()) == assignment.pairs(),
          "{} weights for {} pairs", weights.size(), assignment.pairs());
  const std::vector<int32_t> token = assignment.pair_tokens();
  auto choice = [&](int32_t pair) {
    const auto t = static_cast<size_t>(token[static_cast<size_t>(pair)]);
    return pair - assignment.token_begin[t];
  };
  // Pairs stand by token, so a stable sort leaves position as the last criterion.
  std::vector<int32_t> order(token.size());
  std::iota(order.begin(), order.end(), 0);
  if (by_gate || rule.first_choices_first) {
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      if (rule.first_choices_first && choice(a) != choice(b)) return choice(a) < choice(b);
      return by_gate && weights[static_cast<size_t>(a)] > weights[static_cast<size_t>(b)];
    });
  }
  std::vector<int64_t> slots(groups.size.size());
  for (size_t g = 0; g < slots.size(); ++g) {
    slots[g] =
        capacity(rule.choices, groups.size[g], rule.factor, assignment.experts, rule.min_capacity);
  }
  std::vector<int64_t> used(slots.size() * static_cast<size_t>(assignment.experts), 0);
  for (const int32_t pair : order) {
    const auto i = static_cast<size_t>(pair);
    if (assignment.kept[i] == 0) continue;
    const int32_t group = groups.group[static_cast<size_t>(token[i])];
    require(group >= 0, "a padding token was routed");
    const size_t bin = static_cast<size_t>(group) * static_cast<size_t>(assignment.experts) +
                       static_cast<size_t>(assignment.expert[i]);
    const bool fits = used[bin] < slots[static_cast<size_t>(group)];
    assignment.kept[i] = fits ? 1 : 0;
    if (fits) ++used[bin];
  }
}

void apply_group_capacity(const CapacityRule& rule, const Groups& groups,
                          std::span<const int32_t> bin_of_expert, int64_t bins,
                          std::span<const double> weights, SparseAssignment& assignment) {
  SparseAssignment coarse = empty_assignment(bins);
  std::vector<double> coarse_weights;
  for (size_t t = 0; t < static_cast<size_t>(assignment.tokens); ++t) {
    const int64_t begin = assignment.token_begin[t];
    if (begin == assignment.token_begin[t + 1]) {
      coarse.append({});
      continue;
    }
    const int32_t expert = assignment.expert[static_cast<size_t>(begin)];
    const int32_t bin = bin_of_expert[static_cast<size_t>(expert)];
    coarse.append(std::span(&bin, 1));
    if (!weights.empty()) coarse_weights.push_back(weights[t]);
  }
  apply_capacity(rule, groups, coarse_weights, coarse);
  const std::vector<int32_t> token = coarse.pair_tokens();
  for (size_t i = 0; i < token.size(); ++i) {
    if (coarse.kept[i] != 0) continue;
    const auto t = static_cast<size_t>(token[i]);
    std::fill(assignment.kept.begin() + assignment.token_begin[t],
              assignment.kept.begin() + assignment.token_begin[t + 1], uint8_t{0});
  }
}

}  // namespace troupe
