// Batches of ids as tensors with their context.
#pragma once

#include <memory>

#include "core/nn/token_context.h"
#include "core/text/batch.h"

namespace troupe {

// The step's whole batch, over all ranks and micro-batches: what losses are divided by. Members as
// in TokenContext.
struct WholeBatch {
  int64_t sequences = 0;
  int64_t tokens = 0;
  int64_t predictions = 0;
  int64_t micro_batch = 0;
};

struct BatchTensors {
  TokenContext context;  // step, seed and training are the caller's to fill
  Tensor targets;        // i32 [B * S], -1 where nothing is predicted
};

// documents: whether attention stays inside a document.
BatchTensors to_tensors(const TokenBatch& batch, bool documents,
                        const std::shared_ptr<Device>& device, const WholeBatch& whole = {});

}  // namespace troupe
