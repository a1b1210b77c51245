// SwiGLU feed-forward networks (Shazeer 2020, arXiv:2002.05202) over rows sorted by expert, as one
// fused op: the hidden activation exists only in blocks of rows, and backward recomputes it.
#pragma once

#include <cstdint>
#include <span>

#include "core/parameter/parameter.h"
#include "core/tensor/tensor.h"

namespace troupe {

// y[r] = g[r] (silu(x[r] Wg^T) * (x[r] Wu^T)) Wd^T with the weights of the row's expert.
// x_RD: [R, D] in the compute type, rows of expert e after those of e - 1.
// rows_per_expert: E counts that sum to R; zeros allowed.
// gate_weight_R: [R] in wide(compute) (f32, or f64 under f64), may carry a gradient; undefined = 1.
// w_gate_up: [E, 2F, D], the first F rows of an expert are the gate Wg, the others Wu.
// w_down: [E, D, F]. With E = 1 the weights may be [2F, D] and [D, F].
// Returns [R, D] in the compute type. Combine is then a plain sum of a token's rows.
Tensor swiglu_experts(const Tensor& x_RD, std::span<const int64_t> rows_per_expert,
                      const Tensor& gate_weight_R, Parameter& w_gate_up, Parameter& w_down);

// The dense feed-forward: the same kernel with one expert that takes every row. x: [..., D].
Tensor swiglu_feed_forward(const Tensor& x, Parameter& w_gate_up, Parameter& w_down);

}  // namespace troupe
