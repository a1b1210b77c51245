// Elementwise kernels. Views may be strided and broadcast (stride 0); all have the shape of the
// outputs. bf16 is computed in f32. Inputs may be outputs if they are the same view.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// out = a + b.
void add(Stream& stream, View a, View b, View out);
// out = in, converted between floating types; integers keep their type.
void copy(Stream& stream, View in, View out);

enum class BinaryOp : uint8_t { add, sub, mul, div };
void binary(Stream& stream, BinaryOp op, View a, View b, View out);
// out = factor * in + offset.
void affine(Stream& stream, View in, double factor, double offset, View out);

enum class UnaryOp : uint8_t {
  relu,
  squared_relu,
  sigmoid,
  silu,
  gelu,
  gelu_tanh,
  tanh,
  exp,
  log,
  sqrt,
  square,
  softplus,
  normal_cdf
};
void unary(Stream& stream, UnaryOp op, View in, View out);
// in_gradient = out_gradient * f'(in).
void unary_gradient(Stream& stream, UnaryOp op, View in, View out_gradient, View in_gradient);

// out = silu(gate) * up, and its gradients with respect to gate and up.
void swiglu(Stream& stream, View gate, View up, View out);
void swiglu_gradient(Stream& stream, View gate, View up, View out_gradient, View gate_gradient,
                     View up_gradient);

}  // namespace troupe::kernels
