// How many rows reach the experts of a layer.
#pragma once

#include <cstdint>

#include "moe/layer/moe_config.h"

namespace troupe {

// Rows that one rank's tokens send to experts in one micro-batch of training when every expert
// gets the same number: all choices, or less where the capacity is below an even share.
int64_t routed_rows(const MoEConfig& moe, int64_t sequences, int64_t seq_len);

}  // namespace troupe
