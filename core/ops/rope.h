// Rotary position embedding (Su et al. 2021) with the pairs of Llama and Mixtral: element i of a
// head turns with element i + head_dim / 2.
#pragma once

#include "core/tensor/tensor.h"

namespace troupe {

// Cosines and sines of position * theta^(-2 i / head_dim), [positions, head_dim / 2] in the wide
// type.
struct RopeTable {
  Tensor cosine;
  Tensor sine;
};
RopeTable make_rope_table(int64_t positions, int64_t head_dim, double theta, DType compute,
                          const std::shared_ptr<Device>& device);

// x [..., heads, head_dim], last two dims contiguous or a strided view with a contiguous last dim;
// positions i32, one per token (all dims before heads), each below the table's length.
Tensor rope(const Tensor& x, const RopeTable& table, const Tensor& positions);

}  // namespace troupe
