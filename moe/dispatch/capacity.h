// How many tokens of a group an expert takes, and which ones.
#pragma once

#include <cstdint>
#include <span>

#include "moe/dispatch/assignment.h"
#include "moe/dispatch/groups.h"

namespace troupe {

enum class Priority : uint8_t { position, gate };

// C = max(min_capacity, ceil(choices * group_tokens * factor / experts)). A quotient that lies
// within 1e-9 above an integer counts as that integer, so that factor 1.1 rounds as on paper.
int64_t capacity(int64_t choices, int64_t group_tokens, double factor, int64_t experts,
                 int64_t min_capacity);

struct CapacityRule {
  double factor = 1.0;
  int64_t min_capacity = 4;
  Priority priority = Priority::position;
  int64_t choices = 1;               // k of the formula
  bool first_choices_first = false;  // all first choices are placed before any second one
};

// Marks the pairs that find no slot as dropped; those dropped before take none. Slots of each
// (group, expert) go to the tokens in order of (choice if first_choices_first, then weight
// descending under Priority::gate, then position). weights: [pairs], read under Priority::gate.
void apply_capacity(const CapacityRule& rule, const Groups& groups, std::span<const double> weights,
                    SparseAssignment& assignment);

// The same one level above: slots of groups of experts go to tokens, whose pairs all lie in one
// group (choices 1). A token without a slot loses all its pairs. weights: [tokens], read under
// Priority::gate.
void apply_group_capacity(const CapacityRule& rule, const Groups& groups,
                          std::span<const int32_t> bin_of_expert, int64_t bins,
                          std::span<const double> weights, SparseAssignment& assignment);

}  // namespace troupe
