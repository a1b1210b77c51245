// How large a decoder is and how much it computes: pure arithmetic of its configuration.
#pragma once

#include <cstdint>

#include "models/families/decoder_config.h"

namespace troupe {

struct DecoderSize {
  int64_t parameters = 0;         // all, each counted once
  int64_t active_parameters = 0;  // read for one token: top_k of the routed experts instead of all
  int64_t embedding = 0;          // of the embedding table
  int64_t router = 0;             // of all routers
};
DecoderSize decoder_size(const DecoderConfig& config);

// Floating-point operations of forward and backward over `sequences` sequences of seq_len tokens:
// 6 * active parameters (head included, embedding table not) * tokens + 6 * layers * sequences *
// seq_len^2 * dim. Recomputation is not counted.
double training_flops(const DecoderConfig& config, int64_t sequences);

}  // namespace troupe
