#include "moe/routers/parts/pair_ops.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"

namespace troupe {
namespace {

constexpr double kTiny = 1e-20;

using Offsets = std::vector<int64_t>;
using Indices = std::vector<int32_t>;

template <typename F>
void by_precision(const Tensor& x, F&& f) {
  if (x.dtype() == DType::f64) {
    f(double{});
  } else {
    require(x.dtype() == DType::f32, "gate weights in {}", name(x.dtype()));
    f(float{});
  }
}

Tensor like(const Tensor& x) { return Tensor::empty(x.shape(), x.dtype(), x.device()); }

// Calls f(begin, end) for the pairs of each token.
template <typename F>
void each_token(const Offsets& begin, F&& f) {
  for (size_t t = 0; t + 1 < begin.size(); ++t) {
    if (begin[t] < begin[t + 1]) f(begin[t], begin[t + 1]);
  }
}

template <typename T>
void add_pairs(const T* g, const Offsets& begin, const Indices& expert, int64_t experts, T* dx) {
  for (size_t t = 0; t + 1 < begin.size(); ++t) {
    for (int64_t i = begin[t]; i < begin[t + 1]; ++i) {
      dx[static_cast<int64_t>(t) * experts + expert[static_cast<size_t>(i)]] += g[i];
    }
  }
}

}  // namespace

Tensor take_pairs(const Tensor& x_TE, std::span<const int64_t> token_begin,
                  std::span<const int32_t> expert) {
  const Operator op("take_pairs", x_TE.stream());
  require(x_TE.contiguous() && x_TE.rank() == 2 &&
              x_TE.dim(0) + 1 == static_cast<int64_t>(token_begin.size()),
          "pairs of {} tokens taken from scores {}", token_begin.size() - 1, x_TE.shape().text());
  const int64_t experts = x_TE.dim(1);
  Offsets begin(token_begin.begin(), token_begin.end());
  Indices index(expert.begin(), expert.end());
  Tensor out =
      Tensor::empty(Shape{static_cast<int64_t>(index.size())}, x_TE.dtype(), x_TE.device());
  by_precision(x_TE, [&](auto zero) {
    using T = decltype(zero);
    const T* x = x_TE.data<T>();
    T* y = out.data<T>();
    for (size_t t = 0; t + 1 < begin.size(); ++t) {
      for (int64_t i = begin[t]; i < begin[t + 1]; ++i)
        y[i] = x[static_cast<int64_t>(t) * experts + index[static_cast<size_t>(i)]];
    }
  });
  const Shape shape = x_TE.shape();
  return record(op, std::move(out), {x_TE},
                [shape, begin = std::move(begin), index = std::move(index)](
                    const Tensor& g, InputGradients& inputs) {
                  Tensor dx = Tensor::zeros(shape, g.dtype(), g.device());
                  by_precision(g, [&](auto zero) {
                    using T = decltype(zero);
                    add_pairs(g.data<T>(), begin, index, shape[1], dx.data<T>());
                  });
                  inputs.add(0, std::move(dx));
                });
}

Tensor normalise_pairs(const Tensor& w_P, std::span<const int64_t> token_begin) {
  const Operator op("normalise_pairs", w_P.stream());
  Offsets begin(token_begin.begin(), token_begin.end());
  Tensor out = like(w_P);
  by_precision(w_P, [&](auto zero) {
    using T = decltype(zero);
    const T* w = w_P.data<T>();
    T* y = out.data<T>();
    each_token(begin, [&](int64_t first, int64_t last) {
      T sum = static_cast<T>(kTiny);
      for (int64_t i = first; i < last; ++i) sum += w[i];
      for (int64_t i = first; i < last; ++i) y[i] = w[i] / sum;
    });
  });
  return record(
      op, out, {w_P},
      [saved_w = Saved(w_P), saved_y = Saved(out), begin](const Tensor& g, InputGradients& inputs) {
        const Tensor& w_in = saved_w.get("normalise_pairs");
        const Tensor& y_out = saved_y.get("normalise_pairs");
        Tensor dw = like(g);
        by_precision(g, [&](auto zero) {
          using T = decltype(zero);
          const T* w = w_in.data<T>();
          const T* y = y_out.data<T>();
          const T* dy = g.data<T>();
          T* dx = dw.data<T>();
          each_token(begin, [&](int64_t first, int64_t last) {
            T sum = static_cast<T>(kTiny);
            T mean = 0;
            for (int64_t i = first; i < last; ++i) {
              sum += w[i];
              mean += dy[i] * y[i];
            }
            for (int64_t i = first; i < last; ++i) dx[i] = (dy[i] - mean) / sum;
          });
        });
        inputs.add(0, std::move(dw));
      });
}

Tensor softmax_pairs(const Tensor& x_P, std::span<const int64_t> token_begin) {
  const Operator op("softmax_pairs", x_P.stream());
  Offsets begin(token_begin.begin(), token_begin.end());
  Tensor out = like(x_P);
  by_precision(x_P, [&](auto zero) {
    using T = decltype(zero);
    const T* x = x_P.data<T>();
    T* y = out.data<T>();
    each_token(begin, [&](int64_t first, int64_t last) {
      const T most = *std::max_element(x + first, x + last);
      T sum = 0;
      for (int64_t i = first; i < last; ++i) sum += y[i] = std::exp(x[i] - most);
      for (int64_t i = first; i < last; ++i) y[i] /= sum;
    });
  });
  return record(op, out, {x_P},
                [saved_y = Saved(out), begin](const Tensor& g, InputGradients& inputs) {
                  const Tensor& y_out = saved_y.get("softmax_pairs");
                  Tensor dx = like(g);
                  by_precision(g, [&](auto zero) {
                    using T = decltype(zero);
                    const T* y = y_out.data<T>();
                    const T* dy = g.data<T>();
                    each_token(begin, [&](int64_t first, int64_t last) {
                      T mean = 0;
                      for (int64_t i = first; i < last; ++i) mean += dy[i] * y[i];
                      for (int64_t i = first; i < last; ++i)
                        dx.data<T>()[i] = y[i] * (dy[i] - mean);
                    });
                  });
                  inputs.add(0, std::move(dx));
                });
}

Tensor take_elements(const Tensor& x_P, std::span<const int32_t> index) {
  const Operator op("take_elements", x_P.stream());
  Indices chosen(index.begin(), index.end());
  const int64_t n = x_P.dim(0);
  Tensor out = Tensor::empty(Shape{static_cast<int64_t>(chosen.size())}, x_P.dtype(), x_P.device());
  by_precision(x_P, [&](auto zero) {
    using T = decltype(zero);
    for (size_t i = 0; i < chosen.size(); ++i) out.data<T>()[i] = x_P.data<T>()[chosen[i]];
  });
  return record(op, std::move(out), {x_P},
                [n, chosen = std::move(chosen)](const Tensor& g, InputGradients& inputs) {
                  Tensor dx = Tensor::zeros(Shape{n}, g.dtype(), g.device());
                  by_precision(g, [&](auto zero) {
                    using T = decltype(zero);
                    for (size_t i = 0; i < chosen.size(); ++i)
                      dx.data<T>()[chosen[i]] = g.data<T>()[i];
                  });
                  inputs.add(0, std::move(dx));
                });
}

namespace {

// Index of the k-th largest noisy logit among the experts other than e, for every e of a row.
template <typename T>
Indices thresholds(const T* noisy, int64_t experts, int64_t k) {
  Indices order(static_cast<size_t>(experts));
  for (size_t e = 0; e < order.size(); ++e) order[e] = static_cast<int32_t>(e);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return noisy[a] > noisy[b]; });
  Indices out(order.size());
  for (size_t place = 0; place < order.size(); ++place) {
    const bool among_best = place < static_cast<size_t>(k);
    out[static_cast<size_t>(order[place])] = order[static_cast<size_t>(among_best ? k : k - 1)];
  }
  return out;
}

double normal_density(double z) { return 0.3989422804014327 * std::exp(-0.5 * z * z); }
double normal_distribution(double z) { return 0.5 * std::erfc(-z * 0.7071067811865476); }

}  // namespace

Tensor smooth_load(const Tensor& clean_TE, const Tensor& noisy_TE, const Tensor& std_TE,
                   int64_t k) {
  const Operator op("smooth_load", clean_TE.stream());
  const int64_t tokens = clean_TE.dim(0);
  const int64_t experts = clean_TE.dim(1);
  if (k >= experts) return Tensor::full(clean_TE.shape(), clean_TE.dtype(), 1.0, clean_TE.device());
  Tensor out = like(clean_TE);
  by_precision(clean_TE, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t t = 0; t < tokens; ++t) {
      const T* noisy = noisy_TE.data<T>() + t * experts;
      const Indices threshold = thresholds(noisy, experts, k);
      for (int64_t e = 0; e < experts; ++e) {
        const int64_t at = t * experts + e;
        const double margin = clean_TE.data<T>()[at] - noisy[threshold[static_cast<size_t>(e)]];
        out.data<T>()[at] = static_cast<T>(normal_distribution(margin / std_TE.data<T>()[at]));
      }
    }
  });
  return record(op, std::move(out), {clean_TE, noisy_TE, std_TE},
                [clean = Saved(clean_TE), noisy = Saved(noisy_TE), deviation = Saved(std_TE),
                 tokens, experts, k](const Tensor& g, InputGradients& inputs) {
                  const Tensor& c = clean.get("smooth_load");
                  const Tensor& n = noisy.get("smooth_load");
                  const Tensor& s = deviation.get("smooth_load");
                  Tensor dc = like(g);
                  Tensor dn = Tensor::zeros(g.shape(), g.dtype(), g.device());
                  Tensor ds = like(g);
                  by_precision(g, [&](auto zero) {
                    using T = decltype(zero);
                    for (int64_t t = 0; t < tokens; ++t) {
                      const T* row = n.data<T>() + t * experts;
                      const Indices threshold = thresholds(row, experts, k);
                      for (int64_t e = 0; e < experts; ++e) {
                        const int64_t at = t * experts + e;
                        const int32_t other = threshold[static_cast<size_t>(e)];
                        const double width = s.data<T>()[at];
                        const double z = (c.data<T>()[at] - row[other]) / width;
                        const double slope = g.data<T>()[at] * normal_density(z) / width;
                        dc.data<T>()[at] = static_cast<T>(slope);
                        dn.data<T>()[t * experts + other] -= static_cast<T>(slope);
                        ds.data<T>()[at] = static_cast<T>(-slope * z);
                      }
                    }
                  });
                  inputs.add(0, std::move(dc));
                  inputs.add(1, std::move(dn));
                  inputs.add(2, std::move(ds));
                });
}

}  // namespace troupe
