// Causal self-attention with grouped queries, and optionally rotary positions, QK-norm and biases.
// Heads are cut over tp; where there are fewer key heads than tp ranks, each rank projects all of
// them and uses the one of its query heads.
#pragma once

#include <optional>

#include "models/parts/sequence_mixer.h"

namespace troupe {

struct AttentionConfig {
  int64_t dim = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t window = 0;
  bool qk_norm = false;
  bool bias = false;         // on queries, keys and values
  bool output_bias = false;  // on what the heads are projected to
  double norm_eps = 1e-5;
  std::optional<double> rope_theta;  // none = positions do not turn queries and keys
  int64_t seq_len = 0;               // the positions that rotary tables know
};

// NAME.q.weight, k, v, o; with biases q.bias, k, v; o.bias; with QK-norm q_norm.weight,
// k_norm.weight.
MixerPart attention_part(const AttentionConfig& config);

}  // namespace troupe
