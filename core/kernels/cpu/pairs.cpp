#include "core/kernels/pairs.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/error.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

constexpr double kTiny = 1e-20;

// f(a zero of the type)
template <typename F>
void by_precision(const View& x, F&& f) {
  if (x.dtype == DType::f64) return f(double{});
  require(x.dtype == DType::f32, "gate weights in {}", name(x.dtype));
  f(float{});
}

// Calls f(begin, end) for the pairs of each token.
template <typename F>
void each_token(const View& token_begin, F&& f) {
  const auto* begin = token_begin.as<int64_t>();
  for (int64_t t = 0; t + 1 < token_begin.elements(); ++t) {
    if (begin[t] < begin[t + 1]) f(begin[t], begin[t + 1]);
  }
}

// Calls f(pair, its place in [T, E]).
template <typename F>
void each_pair(const View& token_begin, const View& expert, int64_t experts, F&& f) {
  const auto* begin = token_begin.as<int64_t>();
  const auto* of = expert.as<int32_t>();
  for (int64_t t = 0; t + 1 < token_begin.elements(); ++t) {
    for (int64_t i = begin[t]; i < begin[t + 1]; ++i) f(i, t * experts + of[i]);
  }
}

// Index of the k-th largest noisy logit among the experts other than e, for every e of a row.
template <typename T>
std::vector<int32_t> thresholds(const T* noisy, int64_t experts, int64_t k) {
  std::vector<int32_t> order(static_cast<size_t>(experts));
  for (size_t e = 0; e < order.size(); ++e) order[e] = static_cast<int32_t>(e);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return noisy[a] > noisy[b]; });
  std::vector<int32_t> out(order.size());
  for (size_t place = 0; place < order.size(); ++place) {
    const bool among_best = place < static_cast<size_t>(k);
    out[static_cast<size_t>(order[place])] = order[static_cast<size_t>(among_best ? k : k - 1)];
  }
  return out;
}

double normal_density(double z) { return 0.3989422804014327 * std::exp(-0.5 * z * z); }
double normal_distribution(double z) { return 0.5 * std::erfc(-z * 0.7071067811865476); }

}  // namespace

void take_pairs(Stream& /*stream*/, View x, View token_begin, View expert, View y) {
  by_precision(x, [&](auto zero) {
    using T = decltype(zero);
    each_pair(token_begin, expert, x.dim(1),
              [from = x.as<T>(), to = y.as<T>()](int64_t i, int64_t at) { to[i] = from[at]; });
  });
}

void take_pairs_gradient(Stream& /*stream*/, View dy, View token_begin, View expert, View dx) {
  by_precision(dy, [&](auto zero) {
    using T = decltype(zero);
    each_pair(token_begin, expert, dx.dim(1),
              [from = dy.as<T>(), to = dx.as<T>()](int64_t i, int64_t at) { to[at] += from[i]; });
  });
}

void normalise_pairs(Stream& /*stream*/, View w, View token_begin, View y) {
  by_precision(w, [&](auto zero) {
    using T = decltype(zero);
    const T* weight = w.as<T>();
    T* out = y.as<T>();
    each_token(token_begin, [&](int64_t first, int64_t last) {
      T sum = static_cast<T>(kTiny);
      for (int64_t i = first; i < last; ++i) sum += weight[i];
      for (int64_t i = first; i < last; ++i) out[i] = weight[i] / sum;
    });
  });
}

void normalise_pairs_gradient(Stream& /*stream*/, View w, View y, View dy, View token_begin,
                              View dw) {
  by_precision(dy, [&](auto zero) {
    using T = decltype(zero);
    const T* weight = w.as<T>();
    const T* out = y.as<T>();
    const T* gradient = dy.as<T>();
    T* to = dw.as<T>();
    each_token(token_begin, [&](int64_t first, int64_t last) {
      T sum = static_cast<T>(kTiny);
      T mean = 0;
      for (int64_t i = first; i < last; ++i) {
        sum += weight[i];
        mean += gradient[i] * out[i];
      }
      for (int64_t i = first; i < last; ++i) to[i] = (gradient[i] - mean) / sum;
    });
  });
}

void softmax_pairs(Stream& /*stream*/, View x, View token_begin, View y) {
  by_precision(x, [&](auto zero) {
    using T = decltype(zero);
    const T* in = x.as<T>();
    T* out = y.as<T>();
    each_token(token_begin, [&](int64_t first, int64_t last) {
      const T most = *std::max_element(in + first, in + last);
      T sum = 0;
      for (int64_t i = first; i < last; ++i) sum += out[i] = std::exp(in[i] - most);
      for (int64_t i = first; i < last; ++i) out[i] /= sum;
    });
  });
}

void softmax_pairs_gradient(Stream& /*stream*/, View y, View dy, View token_begin, View dx) {
  by_precision(dy, [&](auto zero) {
    using T = decltype(zero);
    const T* out = y.as<T>();
    const T* gradient = dy.as<T>();
    T* to = dx.as<T>();
    each_token(token_begin, [&](int64_t first, int64_t last) {
      T mean = 0;
      for (int64_t i = first; i < last; ++i) mean += gradient[i] * out[i];
      for (int64_t i = first; i < last; ++i) to[i] = out[i] * (gradient[i] - mean);
    });
  });
}

void take_elements(Stream& /*stream*/, View x, View index, View y) {
  by_precision(x, [&](auto zero) {
    using T = decltype(zero);
    const auto* at = index.as<int32_t>();
    for (int64_t i = 0; i < index.elements(); ++i) y.as<T>()[i] = x.as<T>()[at[i]];
  });
}

void take_elements_gradient(Stream& /*stream*/, View dy, View index, View dx) {
  by_precision(dy, [&](auto zero) {
    using T = decltype(zero);
    const auto* at = index.as<int32_t>();
    for (int64_t i = 0; i < index.elements(); ++i) dx.as<T>()[at[i]] = dy.as<T>()[i];
  });
}

void smooth_load(Stream& /*stream*/, View clean, View noisy, View deviation, int64_t k, View y) {
  const int64_t experts = clean.dim(1);
  by_precision(clean, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t t = 0; t < clean.dim(0); ++t) {
      const T* row = noisy.as<T>() + t * experts;
      const std::vector<int32_t> threshold = thresholds(row, experts, k);
      for (int64_t e = 0; e < experts; ++e) {
        const int64_t at = t * experts + e;
        const double margin = clean.as<T>()[at] - row[threshold[static_cast<size_t>(e)]];
        y.as<T>()[at] = static_cast<T>(normal_distribution(margin / deviation.as<T>()[at]));
      }
    }
  });
}

void smooth_load_gradient(Stream& /*stream*/, View clean, View noisy, View deviation, View dy,
                          int64_t k, View dclean, View dnoisy, View ddeviation) {
  const int64_t experts = clean.dim(1);
  by_precision(dy, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t t = 0; t < clean.dim(0); ++t) {
      const T* row = noisy.as<T>() + t * experts;
      const std::vector<int32_t> threshold = thresholds(row, experts, k);
      for (int64_t e = 0; e < experts; ++e) {
        const int64_t at = t * experts + e;
        const int32_t other = threshold[static_cast<size_t>(e)];
        const double width = deviation.as<T>()[at];
        const double z = (clean.as<T>()[at] - row[other]) / width;
        const double slope = dy.as<T>()[at] * normal_density(z) / width;
        dclean.as<T>()[at] = static_cast<T>(slope);
        dnoisy.as<T>()[t * experts + other] -= static_cast<T>(slope);
        ddeviation.as<T>()[at] = static_cast<T>(-slope * z);
      }
    }
  });
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void take_pairs(Stream& stream, View x, View token_begin, View expert, View y) {
  on_device<cpu::take_pairs>(stream, x, token_begin, expert, y);
}

void take_pairs_gradient(Stream& stream, View dy, View token_begin, View expert, View dx) {
  on_device<cpu::take_pairs_gradient>(stream, dy, token_begin, expert, dx);
}

void normalise_pairs(Stream& stream, View w, View token_begin, View y) {
  on_device<cpu::normalise_pairs>(stream, w, token_begin, y);
}

void normalise_pairs_gradient(Stream& stream, View w, View y, View dy, View token_begin, View dw) {
  on_device<cpu::normalise_pairs_gradient>(stream, w, y, dy, token_begin, dw);
}

void softmax_pairs(Stream& stream, View x, View token_begin, View y) {
  on_device<cpu::softmax_pairs>(stream, x, token_begin, y);
}

void softmax_pairs_gradient(Stream& stream, View y, View dy, View token_begin, View dx) {
  on_device<cpu::softmax_pairs_gradient>(stream, y, dy, token_begin, dx);
}

void take_elements(Stream& stream, View x, View index, View y) {
  on_device<cpu::take_elements>(stream, x, index, y);
}

void take_elements_gradient(Stream& stream, View dy, View index, View dx) {
  on_device<cpu::take_elements_gradient>(stream, dy, index, dx);
}

void smooth_load(Stream& stream, View clean, View noisy, View deviation, int64_t k, View y) {
  on_device<cpu::smooth_load>(stream, clean, noisy, deviation, k, y);
}

void smooth_load_gradient(Stream& stream, View clean, View noisy, View deviation, View dy,
                          int64_t k, View dclean, View dnoisy, View ddeviation) {
  on_device<cpu::smooth_load_gradient>(stream, clean, noisy, deviation, dy, k, dclean, dnoisy,
                                       ddeviation);
}

}  // namespace troupe::kernels
