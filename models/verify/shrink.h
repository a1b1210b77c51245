// A small model that a layout can do everything to that it can do to the large one.
//
// The rule. Sizes that a layout divides (heads, kv_heads, ffn widths, experts, micro-batches,
// seq_len) become the smallest divisor of the given size that has the same divisors up to the
// number of ranks (seq_len: to twice it), and a little more where too little would be left. Since
// the small size divides the large one, a layout is legal for the one where it is for the other.
//   layers       min(layers, ranks), or what the layouts' stages need; one of each kind is kept
//   dim          16, head_dim 4: nothing divides them
//   vocab        32 or a little more, divided by the same numbers up to `ranks`
//   experts      more than the router chooses, in each group if it has groups
//   micro_batch  2 sequences, or what a group of tokens across sequences spans
//   init_std     0.1, clip at most 0.5, a constant learning rate of at most 0.001: every part of
//                the model has a gradient that counts, clipping acts, parameters move
// Routers, balance terms, capacities, dropout, noise, windows, document masks, recomputation, tied
// weights, biases, norms and the optimizer stay as they are.
#pragma once

#include "models/engine/training_engine.h"

namespace troupe {

// chunks: the most pp x virtual_stages that a layout asks for; 0 = none in particular.
EngineConfig shrink(const EngineConfig& engine, int ranks, int chunks = 0);

// Sequences of a micro-batch whose tokens compete for experts: what micro_batch is a multiple of.
int64_t sequences_together(const ModelConfig& model);

// The smallest divisor of n that is at least min(n, least) and has the same divisors up to `limit`.
int64_t shrink_size(int64_t n, int64_t limit, int64_t least);

}  // namespace troupe
