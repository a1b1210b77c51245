#include "moe/routers/parts/pair_ops.h"

#include <utility>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/pairs.h"

namespace troupe {
namespace {

// Offsets or indices of an assignment, which the host has, where the kernels of x's device read
// them.
template <typename T>
Tensor beside(const Tensor& x, std::span<const T> host) {
  return Tensor::from(host, Shape{static_cast<int64_t>(host.size())}, x.device());
}

Tensor like(const Tensor& x) { return Tensor::empty(x.shape(), x.dtype(), x.device()); }

Tensor pairs_like(const Tensor& x, size_t pairs) {
  return Tensor::empty(Shape{static_cast<int64_t>(pairs)}, x.dtype(), x.device());
}

}  // namespace

Tensor take_pairs(const Tensor& x_TE, std::span<const int64_t> token_begin,
                  std::span<const int32_t> expert) {
  const Operator op("take_pairs", x_TE.stream());
  require(x_TE.contiguous() && x_TE.rank() == 2 &&
              x_TE.dim(0) + 1 == static_cast<int64_t>(token_begin.size()),
          "pairs of {} tokens taken from scores {}", token_begin.size() - 1, x_TE.shape().text());
  Tensor out = pairs_like(x_TE, expert.size());
  const Tensor begin = beside(x_TE, token_begin);
  const Tensor index = beside(x_TE, expert);
  kernels::take_pairs(x_TE.stream(), x_TE.view(), begin.view(), index.view(), out.view());
  return record(op, std::move(out), {x_TE},
                [shape = x_TE.shape(), begin, index](const Tensor& g, InputGradients& inputs) {
                  Tensor dx = Tensor::zeros(shape, g.dtype(), g.device());
                  kernels::take_pairs_gradient(g.stream(), g.view(), begin.view(), index.view(),
                                               dx.view());
                  inputs.add(0, std::move(dx));
                });
}

Tensor normalise_pairs(const Tensor& w_P, std::span<const int64_t> token_begin) {
  const Operator op("normalise_pairs", w_P.stream());
  Tensor out = like(w_P);
  const Tensor begin = beside(w_P, token_begin);
  kernels::normalise_pairs(w_P.stream(), w_P.view(), begin.view(), out.view());
  return record(
      op, out, {w_P},
      [saved_w = Saved(w_P), saved_y = Saved(out), begin](const Tensor& g, InputGradients& inputs) {
        Tensor dw = like(g);
        kernels::normalise_pairs_gradient(g.stream(), saved_w.get("normalise_pairs").view(),
                                          saved_y.get("normalise_pairs").view(), g.view(),
                                          begin.view(), dw.view());
        inputs.add(0, std::move(dw));
      });
}

Tensor softmax_pairs(const Tensor& x_P, std::span<const int64_t> token_begin) {
  const Operator op("softmax_pairs", x_P.stream());
  Tensor out = like(x_P);
  const Tensor begin = beside(x_P, token_begin);
  kernels::softmax_pairs(x_P.stream(), x_P.view(), begin.view(), out.view());
  return record(op, out, {x_P},
                [saved_y = Saved(out), begin](const Tensor& g, InputGradients& inputs) {
                  Tensor dx = like(g);
                  kernels::softmax_pairs_gradient(g.stream(), saved_y.get("softmax_pairs").view(),
                                                  g.view(), begin.view(), dx.view());
                  inputs.add(0, std::move(dx));
                });
}

Tensor take_elements(const Tensor& x_P, std::span<const int32_t> index) {
  const Operator op("take_elements", x_P.stream());
  Tensor out = pairs_like(x_P, index.size());
  const Tensor chosen = beside(x_P, index);
  kernels::take_elements(x_P.stream(), x_P.view(), chosen.view(), out.view());
  return record(op, std::move(out), {x_P},
                [n = x_P.dim(0), chosen](const Tensor& g, InputGradients& inputs) {
                  Tensor dx = Tensor::zeros(Shape{n}, g.dtype(), g.device());
                  kernels::take_elements_gradient(g.stream(), g.view(), chosen.view(), dx.view());
                  inputs.add(0, std::move(dx));
                });
}

Tensor smooth_load(const Tensor& clean_TE, const Tensor& noisy_TE, const Tensor& std_TE,
                   int64_t k) {
  const Operator op("smooth_load", clean_TE.stream());
  if (k >= clean_TE.dim(1))
    return Tensor::full(clean_TE.shape(), clean_TE.dtype(), 1.0, clean_TE.device());
  Tensor out = like(clean_TE);
  kernels::smooth_load(out.stream(), clean_TE.view(), noisy_TE.view(), std_TE.view(), k,
                       out.view());
  return record(op, std::move(out), {clean_TE, noisy_TE, std_TE},
                [clean = Saved(clean_TE), noisy = Saved(noisy_TE), deviation = Saved(std_TE), k](
                    const Tensor& g, InputGradients& inputs) {
                  Tensor dc = like(g);
                  Tensor dn = Tensor::zeros(g.shape(), g.dtype(), g.device());
                  Tensor ds = like(g);
                  kernels::smooth_load_gradient(g.stream(), clean.get("smooth_load").view(),
                                                noisy.get("smooth_load").view(),
                                                deviation.get("smooth_load").view(), g.view(), k,
                                                dc.view(), dn.view(), ds.view());
                  inputs.add(0, std::move(dc));
                  inputs.add(1, std::move(dn));
                  inputs.add(2, std::move(ds));
                });
}

}  // namespace troupe
