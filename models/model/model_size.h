// How large a model is and how much it computes: pure arithmetic of its parameters' list.
#pragma once

#include <cstdint>

#include "models/model/transformer_parts.h"

namespace troupe {

struct ModelSize {
  int64_t parameters = 0;         // all, each counted once
  int64_t active_parameters = 0;  // read for one token: top_k of the routed experts instead of all
  int64_t embedding = 0;          // of tables of which a token reads a row
  int64_t router = 0;             // of all routers
};
ModelSize transformer_size(const ModelConfig& config, const TransformerParts& parts);

// Floating-point operations of forward and backward over `sequences` sequences of seq_len tokens:
// 6 * active parameters (head included, tables not) * tokens + 6 * layers * sequences * seq_len^2 *
// dim. Recomputation is not counted.
double training_flops(const ModelConfig& config, const ModelSize& size, int64_t sequences);

}  // namespace troupe
