// Batches of ids as tensors with their context.
#pragma once

#include <memory>

#include "core/nn/token_context.h"
#include "core/text/batch.h"

namespace troupe {

struct BatchTensors {
  TokenContext context;  // step, seed and training are the caller's to fill
  Tensor targets;        // i32 [B * S], -1 where nothing is predicted
};

// documents: whether attention stays inside a document.
BatchTensors to_tensors(const TokenBatch& batch, bool documents,
                        const std::shared_ptr<Device>& device, const WholeBatch& whole = {});

}  // namespace troupe
