// The kernels of SwiGLU experts over rows sorted by expert. A task takes a block of rows of one
// expert through both products while it is in cache.
#pragma once

#include "core/device/device.h"
#include "core/kernels/grouped_gemm.h"
#include "core/kernels/packed_weights.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// H[r] = x[r] Wgu^T, A[r] = g[r] silu(H[r, :F]) * H[r, F:], y[r] = A[r] Wd^T.
// x, y: [R, D], contiguous columns. gate_weight: [R] in the wide type, data null = 1.
// hidden: [padded_total, 2F] contiguous, receives H for backward; data null = not kept.
void swiglu_experts(Stream& stream, View x, View gate_weight, RowGroups groups,
                    const WeightOperand& gate_up_forward, const WeightOperand& down_forward,
                    View hidden, View y);

// Where backward leaves the operands of the weight gradients. Those that own products read as rows:
// dy, dH (in hidden), x, and
//   activated: A, [padded_total, F], each expert's rows from a multiple of kRowPad on.
// Else the forms of grouped_gemm.h. Data null = not wanted.
struct SwigluGradientOperands {
  View activated;
  View down_left;      // dy, padded_total * D
  View down_right;     // A, padded_total * F
  View gate_up_left;   // dH, padded_total * 2F
  View gate_up_right;  // x, padded_total * D
  template <typename F>
  void for_each_view(F&& f) {
    for (View* view : {&activated, &down_left, &down_right, &gate_up_left, &gate_up_right})
      f(*view);
  }
};

// dy: [R, D]. hidden: H; overwritten by dH. dx: [R, D], data null = not wanted. gate_gradient: [R],
// dot(dA / g, A) in f32 or better, data null = not wanted.
void swiglu_experts_gradient(Stream& stream, View x, View gate_weight, View dy, RowGroups groups,
                             const WeightOperand& gate_up_input_gradient,
                             const WeightOperand& down_input_gradient, View hidden, View dx,
                             View gate_gradient, const SwigluGradientOperands& operands);

}  // namespace troupe::kernels
