#include "moe/routers/parts/pair_ops.h"

#include <utility>
#include <vector>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/pairs.h"

namespace troupe {
namespace {

using Offsets = std::vector<int64_t>;
using Indices = std::vector<int32_t>;

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
  kernels::take_pairs(x_TE.stream(), x_TE.view(), token_begin, expert, out.view());
  return record(
      op, std::move(out), {x_TE},
      [shape = x_TE.shape(), begin = Offsets(token_begin.begin(), token_begin.end()),
       index = Indices(expert.begin(), expert.end())](const Tensor& g, InputGradients& inputs) {
        Tensor dx = Tensor::zeros(shape, g.dtype(), g.device());
        kernels::take_pairs_gradient(g.stream(), g.view(), begin, index, dx.view());
        inputs.add(0, std::move(dx));
      });
}

Tensor normalise_pairs(const Tensor& w_P, std::span<const int64_t> token_begin) {
  const Operator op("normalise_pairs", w_P.stream());
  Tensor out = like(w_P);
  kernels::normalise_pairs(w_P.stream(), w_P.view(), token_begin, out.view());
  return record(op, out, {w_P},
                [saved_w = Saved(w_P), saved_y = Saved(out),
                 begin = Offsets(token_begin.begin(), token_begin.end())](const Tensor& g,
                                                                          InputGradients& inputs) {
                  Tensor dw = like(g);
                  kernels::normalise_pairs_gradient(
                      g.stream(), saved_w.get("normalise_pairs").view(),
                      saved_y.get("normalise_pairs").view(), g.view(), begin, dw.view());
                  inputs.add(0, std::move(dw));
                });
}

Tensor softmax_pairs(const Tensor& x_P, std::span<const int64_t> token_begin) {
  const Operator op("softmax_pairs", x_P.stream());
  Tensor out = like(x_P);
  kernels::softmax_pairs(x_P.stream(), x_P.view(), token_begin, out.view());
  return record(op, out, {x_P},
                [saved_y = Saved(out), begin = Offsets(token_begin.begin(), token_begin.end())](
                    const Tensor& g, InputGradients& inputs) {
                  Tensor dx = like(g);
                  kernels::softmax_pairs_gradient(g.stream(), saved_y.get("softmax_pairs").view(),
                                                  g.view(), begin, dx.view());
                  inputs.add(0, std::move(dx));
                });
}

Tensor take_elements(const Tensor& x_P, std::span<const int32_t> index) {
  const Operator op("take_elements", x_P.stream());
  Tensor out = pairs_like(x_P, index.size());
  kernels::take_elements(x_P.stream(), x_P.view(), index, out.view());
  return record(op, std::move(out), {x_P},
                [n = x_P.dim(0), chosen = Indices(index.begin(), index.end())](
                    const Tensor& g, InputGradients& inputs) {
                  Tensor dx = Tensor::zeros(Shape{n}, g.dtype(), g.device());
                  kernels::take_elements_gradient(g.stream(), g.view(), chosen, dx.view());
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
