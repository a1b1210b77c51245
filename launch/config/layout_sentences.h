// What is wrong with a layout in sentences, with the names of keys.
#pragma once

#include <string>
#include <vector>

#include "models/layouts/layout_rules.h"

namespace troupe {

struct LayoutSentence {
  std::string key;                 // "parallel.tp"
  std::vector<std::string> reads;  // the other keys that the rule looks at
  std::string rule;                // with its arithmetic
  std::string fix;                 // the nearest legal values
};

// The layout, inputs and number of ranks must be those that the problem was found with.
LayoutSentence sentence(const LayoutProblem& problem, const Parallelism& parallelism,
                        const LayoutInputs& inputs, int world);

// Keys and rules of all problems as one line, without fixes; "" = none.
std::string layout_refusal(const std::vector<LayoutProblem>& problems,
                           const Parallelism& parallelism, const LayoutInputs& inputs, int world);

}  // namespace troupe
