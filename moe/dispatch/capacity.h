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

// Marks the pairs that find no slot as dropped. Slots of each (group, expert) go to the tokens in
// order of (choice if first_choices_first, then weight descending under Priority::gate, then
// position). weights: [pairs], read under Priority::gate.
void apply_capacity(const CapacityRule& rule, const Groups& groups, std::span<const double> weights,
                    Assignment& assignment);

}  // namespace troupe
