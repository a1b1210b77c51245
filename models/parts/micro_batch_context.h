// What every block of a model knows about the micro-batch that flows through it.
#pragma once

#include <memory>

#include "core/nn/token_context.h"
#include "parallel/mesh/token_sharding.h"

namespace troupe {

struct MicroBatchContext {
  TokenContext tokens;  // the whole micro-batch
  std::shared_ptr<const TokenSharding> sharding;
  Tensor positions;  // i32 [attention rows], each in its sequence
};

// Numbers of the rows of the residual stream in the whole run, i64 [stream rows]: keys of dropout.
Tensor stream_draws(const MicroBatchContext& stream, const std::shared_ptr<Device>& device);

}  // namespace troupe
