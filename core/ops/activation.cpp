#include "core/ops/activation.h"

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/elementwise.h"
#include "core/ops/raw.h"

namespace troupe {
namespace {

using kernels::UnaryOp;

Tensor apply(const char* name, UnaryOp kind, const Tensor& x) {
  const Operator op(name, x.stream());
  raw::check_floating(name, x);
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::unary(out.stream(), kind, x.view(), out.view());
  return record(op, out, {x}, [name, kind, x = Saved(x)](const Tensor& dy, InputGradients& inputs) {
    const Tensor& in = x.get(name);
    Tensor dx = Tensor::empty(in.shape(), in.dtype(), in.device());
    kernels::unary_gradient(dx.stream(), kind, in.view(), dy.view(), dx.view());
    inputs.add(0, dx);
  });
}

// A half of the last dim, as a view.
Tensor half(const Tensor& x, int which) {
  Shape shape = x.shape();
  const int64_t size = shape[-1] / 2;
  shape[-1] = size;
  return x.strided(shape, x.strides(), which * size * x.strides()[-1]);
}

}  // namespace

Tensor relu(const Tensor& x) { return apply("relu", UnaryOp::relu, x); }
Tensor squared_relu(const Tensor& x) { return apply("squared_relu", UnaryOp::squared_relu, x); }
Tensor sigmoid(const Tensor& x) { return apply("sigmoid", UnaryOp::sigmoid, x); }
Tensor silu(const Tensor& x) { return apply("silu", UnaryOp::silu, x); }
Tensor gelu(const Tensor& x) { return apply("gelu", UnaryOp::gelu, x); }
Tensor gelu_tanh(const Tensor& x) { return apply("gelu_tanh", UnaryOp::gelu_tanh, x); }
Tensor tanh(const Tensor& x) { return apply("tanh", UnaryOp::tanh, x); }
Tensor exp(const Tensor& x) { return apply("exp", UnaryOp::exp, x); }
Tensor log(const Tensor& x) { return apply("log", UnaryOp::log, x); }
Tensor sqrt(const Tensor& x) { return apply("sqrt", UnaryOp::sqrt, x); }
Tensor square(const Tensor& x) { return apply("square", UnaryOp::square, x); }
Tensor softplus(const Tensor& x) { return apply("softplus", UnaryOp::softplus, x); }
Tensor normal_cdf(const Tensor& x) { return apply("normal_cdf", UnaryOp::normal_cdf, x); }

Tensor swiglu(const Tensor& gate, const Tensor& up) {
  const Operator op("swiglu", gate.stream());
  raw::check_same_type(op, gate, up);
  Tensor out = Tensor::empty(gate.shape(), gate.dtype(), gate.device());
  kernels::swiglu(out.stream(), gate.view(), up.view(), out.view());
  return record(op, out, {gate, up},
                [gate = Saved(gate), up = Saved(up)](const Tensor& dy, InputGradients& inputs) {
                  const Tensor& g = gate.get("swiglu");
                  const Tensor& u = up.get("swiglu");
                  Tensor dg = Tensor::empty(g.shape(), g.dtype(), g.device());
                  Tensor du = Tensor::empty(g.shape(), g.dtype(), g.device());
                  kernels::swiglu_gradient(dy.stream(), g.view(), u.view(), dy.view(), dg.view(),
                                           du.view());
                  inputs.add(0, dg);
                  inputs.add(1, du);
                });
}

Tensor swiglu(const Tensor& x) {
  const Operator op("swiglu", x.stream());
  raw::check_floating(op, x);
  require(x.rank() > 0 && x.dim(-1) % 2 == 0, "swiglu splits the last dim of {} in two",
          x.shape().text());
  const Tensor gate = half(x, 0);
  Tensor out = Tensor::empty(gate.shape(), x.dtype(), x.device());
  kernels::swiglu(out.stream(), gate.view(), half(x, 1).view(), out.view());
  return record(op, out, {x}, [x = Saved(x)](const Tensor& dy, InputGradients& inputs) {
    const Tensor& in = x.get("swiglu");
    Tensor dx = Tensor::empty(in.shape(), in.dtype(), in.device());
    kernels::swiglu_gradient(dy.stream(), half(in, 0).view(), half(in, 1).view(), dy.view(),
                             half(dx, 0).view(), half(dx, 1).view());
    inputs.add(0, dx);
  });
}

}  // namespace troupe
