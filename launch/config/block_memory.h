// What a block of the model keeps in memory while it trains.
#pragma once

#include <cstddef>
#include <cstdint>

#include "launch/config/run_config.h"

namespace troupe {

// What one block keeps for backward, and what its feed-forward needs besides at the worst moment of
// its backward.
struct BlockMemory {
  int64_t saved = 0;
  int64_t deferred = 0;  // more than that, between the gradients of inputs and those of weights
  int64_t backward = 0;
  int64_t exchanged = 0;  // of kind communication, at the worst moment
  int64_t scratch = 0;    // of one thread, which keeps it
};

// Of one micro-batch, with routing taken as even; allocated bytes on one rank.
BlockMemory block_memory(const RunConfig& config, size_t layer);

// A tensor [rows, width] of the residual stream in the compute type.
int64_t stream_memory(const RunConfig& config, int64_t width);

}  // namespace troupe
