#include "core/kernels/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/packed_weights.h"
#include "core/kernels/dispatch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/cpu/optimizer.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace troupe::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;

// The rest of a range that is shorter than a vector goes through a buffer of one vector, so that
// every element gets the same operations wherever a range is cut.
template <int kInputs, class Update>
HWY_INLINE void for_ranges(const std::array<float*, kInputs>& memory, int64_t n, Update update) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(D()));
  int64_t i = 0;
  std::array<float*, kInputs> at = memory;
  for (; i + lanes <= n; i += lanes) {
    for (int k = 0; k < kInputs; ++k) at[k] = memory[k] + i;
    update(at);
  }
  if (i == n) return;
  HWY_ALIGN float buffer[kInputs][hn::MaxLanes(D())] = {};
  for (int k = 0; k < kInputs; ++k) {
    for (int64_t j = i; j < n; ++j) buffer[k][j - i] = memory[k][j];
    at[k] = buffer[k];
  }
  update(at);
  for (int k = 0; k < kInputs; ++k) {
    for (int64_t j = i; j < n; ++j) memory[k][j] = buffer[k][j - i];
  }
}

void AdamW(float* value, float* gradient, float* first, float* second, int64_t n,
           const AdamWStep& step) {
  const D d;
  const auto beta1 = hn::Set(d, static_cast<float>(step.beta1));
  const auto beta2 = hn::Set(d, static_cast<float>(step.beta2));
  const auto rest1 = hn::Set(d, static_cast<float>(1.0 - step.beta1));
  const auto rest2 = hn::Set(d, static_cast<float>(1.0 - step.beta2));
  const auto eps = hn::Set(d, static_cast<float>(step.eps));
  const auto decay = hn::Set(d, static_cast<float>(step.decay));
  const auto size = hn::Set(d, static_cast<float>(step.step_size));
  const auto correction = hn::Set(d, static_cast<float>(step.second_correction));
  const auto scale = hn::Set(d, static_cast<float>(step.gradient_scale));
  for_ranges<4>({value, gradient, first, second}, n, [&](const std::array<float*, 4>& at) HWY_ATTR {
    const auto g = hn::Mul(hn::LoadU(d, at[1]), scale);
    const auto m = hn::MulAdd(beta1, hn::LoadU(d, at[2]), hn::Mul(rest1, g));
    const auto v = hn::MulAdd(beta2, hn::LoadU(d, at[3]), hn::Mul(rest2, hn::Mul(g, g)));
    const auto root = hn::Add(hn::Sqrt(hn::Mul(v, correction)), eps);
    const auto w = hn::Mul(hn::LoadU(d, at[0]), decay);
    hn::StoreU(m, d, at[2]);
    hn::StoreU(v, d, at[3]);
    hn::StoreU(hn::NegMulAdd(size, hn::Div(m, root), w), d, at[0]);
  });
}

void SgdMomentum(float* value, float* gradient, float* buffer, int64_t n, const SgdStep& step) {
  const D d;
  const auto lr = hn::Set(d, static_cast<float>(step.lr));
  const auto momentum = hn::Set(d, static_cast<float>(step.momentum));
  const auto decay = hn::Set(d, static_cast<float>(step.decay));
  const auto scale = hn::Set(d, static_cast<float>(step.gradient_scale));
  for_ranges<3>({value, gradient, buffer}, n, [&](const std::array<float*, 3>& at) HWY_ATTR {
    const auto g = hn::Mul(hn::LoadU(d, at[1]), scale);
    const auto b = hn::MulAdd(momentum, hn::LoadU(d, at[2]), g);
    hn::StoreU(b, d, at[2]);
    hn::StoreU(hn::NegMulAdd(lr, b, hn::Mul(hn::LoadU(d, at[0]), decay)), d, at[0]);
  });
}

void SgdPlain(float* value, float* gradient, int64_t n, const SgdStep& step) {
  const D d;
  const auto lr = hn::Set(d, static_cast<float>(step.lr));
  const auto decay = hn::Set(d, static_cast<float>(step.decay));
  const auto scale = hn::Set(d, static_cast<float>(step.gradient_scale));
  for_ranges<2>({value, gradient}, n, [&](const std::array<float*, 2>& at) HWY_ATTR {
    const auto g = hn::Mul(hn::LoadU(d, at[1]), scale);
    hn::StoreU(hn::NegMulAdd(lr, g, hn::Mul(hn::LoadU(d, at[0]), decay)), d, at[0]);
  });
}

}  // namespace troupe::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace troupe::kernels::cpu {
namespace {

HWY_EXPORT(AdamW);
HWY_EXPORT(SgdMomentum);
HWY_EXPORT(SgdPlain);

void adamw_f64(double* w, const double* gradient, double* m, double* v, int64_t n,
               const AdamWStep& step) {
  for (int64_t i = 0; i < n; ++i) {
    const double g = gradient[i] * step.gradient_scale;
    m[i] = step.beta1 * m[i] + (1.0 - step.beta1) * g;
    v[i] = step.beta2 * v[i] + (1.0 - step.beta2) * g * g;
    const double root = std::sqrt(v[i] * step.second_correction) + step.eps;
    w[i] = w[i] * step.decay - step.step_size * m[i] / root;
  }
}

void sgd_f64(double* w, const double* gradient, double* buffer, int64_t n, const SgdStep& step) {
  for (int64_t i = 0; i < n; ++i) {
    double g = gradient[i] * step.gradient_scale;
    if (buffer != nullptr) g = buffer[i] = step.momentum * buffer[i] + g;
    w[i] = w[i] * step.decay - step.lr * g;
  }
}

// Sixteen running sums whatever the width of the vectors: element i goes to sum i % 16.
template <typename T>
double squares(const T* x, int64_t n) {
  constexpr int64_t kLanes = 16;
  std::array<double, kLanes> sums{};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const auto value = static_cast<double>(x[i + lane]);
      sums[static_cast<size_t>(lane)] += value * value;
    }
  }
  for (int64_t lane = 0; i < n; ++i, ++lane) {
    const auto value = static_cast<double>(x[i]);
    sums[static_cast<size_t>(lane)] += value * value;
  }
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

// The kernels read the gradient only; they take it as a plain pointer to treat all memory alike.
template <typename T>
T* at(const View& view, int64_t element) {
  return view.data == nullptr ? nullptr : static_cast<T*>(view.data) + element;
}

void check_dtype(DType dtype) {
  require(dtype == DType::f32 || dtype == DType::f64, "optimizer update of {}", name(dtype));
}

void update(const AdamWRange& range, int64_t begin, int64_t count) {
  if (range.value.dtype == DType::f64) {
    return adamw_f64(at<double>(range.value, begin), at<double>(range.gradient, begin),
                     at<double>(range.first_moment, begin), at<double>(range.second_moment, begin),
                     count, range.step);
  }
  HWY_DYNAMIC_DISPATCH(AdamW)
  (at<float>(range.value, begin), at<float>(range.gradient, begin),
   at<float>(range.first_moment, begin), at<float>(range.second_moment, begin), count, range.step);
}

void update(const SgdRange& range, int64_t begin, int64_t count) {
  float* buffer = at<float>(range.buffer, begin);
  if (range.value.dtype == DType::f64) {
    sgd_f64(at<double>(range.value, begin), at<double>(range.gradient, begin),
            at<double>(range.buffer, begin), count, range.step);
  } else if (buffer == nullptr) {
    HWY_DYNAMIC_DISPATCH(SgdPlain)
    (at<float>(range.value, begin), at<float>(range.gradient, begin), count, range.step);
  } else {
    HWY_DYNAMIC_DISPATCH(SgdMomentum)
    (at<float>(range.value, begin), at<float>(range.gradient, begin), buffer, count, range.step);
  }
}

// Elements of one piece where no packed copy asks for panels: its memory (value, gradient, two
// moments) fits into a core's L2 cache.
constexpr int64_t kPieceElements = 16384;

// A part of one range, and the panel of the packed copies that it fills (-1: none).
struct Piece {
  size_t range;
  int64_t begin;
  int64_t count;
  int64_t panel;
};

void append_pieces(size_t index, int64_t elements, const PackedWeights* packed,
                   std::vector<Piece>& pieces) {
  if (packed == nullptr) {
    for (int64_t begin = 0; begin < elements; begin += kPieceElements)
      pieces.push_back({index, begin, std::min(kPieceElements, elements - begin), -1});
    return;
  }
  for (int64_t panel = 0; panel < packed->panels(); ++panel) {
    const PackedWeights::Panel rows = packed->panel(panel);
    const int64_t row = packed->row_elements();
    pieces.push_back({index, rows.first_row * row, rows.rows * row, panel});
  }
}

template <typename Range>
void update_all(Stream& stream, std::span<const Range> ranges) {
  const auto packed_of = [](const Range& range) {
    return static_cast<PackedWeights*>(range.packed);
  };
  std::vector<Piece> pieces;
  for (size_t i = 0; i < ranges.size(); ++i) {
    check_dtype(ranges[i].value.dtype);
    append_pieces(i, ranges[i].value.elements(), packed_of(ranges[i]), pieces);
  }
  parallel_for(stream, static_cast<int64_t>(pieces.size()), [&](int64_t index) {
    const Piece& piece = pieces[static_cast<size_t>(index)];
    const Range& range = ranges[piece.range];
    update(range, piece.begin, piece.count);
    if (piece.panel >= 0) packed_of(range)->write_panel(piece.panel);
  });
}

}  // namespace

void adamw(Stream& stream, std::span<const AdamWRange> ranges) { update_all(stream, ranges); }

void sgd(Stream& stream, std::span<const SgdRange> ranges) { update_all(stream, ranges); }

void sum_of_squares(Stream& stream, std::span<const Part> parts, View out) {
  auto* sums = out.as<double>();
  parallel_for(stream, static_cast<int64_t>(parts.size()), [&](int64_t i) {
    const View& x = parts[static_cast<size_t>(i)].x;
    check_dtype(x.dtype);
    sums[i] = x.dtype == DType::f64 ? squares(x.as<double>(), x.elements())
                                    : squares(x.as<float>(), x.elements());
  });
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void adamw(Stream& stream, std::span<const AdamWRange> ranges) {
  on_device<cpu::adamw>(stream, ranges);
}

void sgd(Stream& stream, std::span<const SgdRange> ranges) { on_device<cpu::sgd>(stream, ranges); }

void sum_of_squares(Stream& stream, std::span<const Part> parts, View out) {
  on_device<cpu::sum_of_squares>(stream, parts, out);
}

}  // namespace troupe::kernels
#endif
