// What a rank holds of the values of parameters, all the time and at the worst moments.
#pragma once

#include <cstdint>

#include "models/cost/cost_inputs.h"

namespace troupe {

// Bytes as the allocator takes them.
struct ValueMemory {
  int64_t kept = 0;   // main values that are always here
  int64_t forms = 0;  // copies of them in the forms of products
  // With zero 3 what is gathered besides, with the forms of the unit that is used: while the loss
  // is made, and in the worst block.
  int64_t in_loss = 0;
  int64_t in_block = 0;
};

// Of the last rank of a pipeline stage.
ValueMemory value_memory(const CostInputs& config, int stage);

}  // namespace troupe
