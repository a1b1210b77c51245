#include "core/kernels/draws.h"

#include <algorithm>

#include "core/device/cpu/parallel_for.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

// Calls value(number of the row, its elements) for each row.
template <typename T, typename F>
void fill_rows(Stream& stream, const View& rows, const View& out, const F& value) {
  const auto* number = rows.as<int64_t>();
  T* to = out.as<T>();
  constexpr int64_t kRows = 64;
  parallel_for(stream, (out.dim(0) + kRows - 1) / kRows, [&](int64_t piece) {
    for (int64_t r = piece * kRows; r < std::min(out.dim(0), (piece + 1) * kRows); ++r)
      value(static_cast<uint64_t>(number[r]), to + r * out.dim(1));
  });
}

template <typename F>
void fill_as(Stream& stream, const View& rows, const View& out, const F& value) {
  if (out.dtype == DType::f64) return fill_rows<double>(stream, rows, out, value);
  fill_rows<float>(stream, rows, out, value);
}

}  // namespace

void jitter_draws(Stream& stream, const Random& random, View rows, double epsilon, View out) {
  const int64_t columns = out.dim(1);
  fill_as(stream, rows, out, [&]<typename T>(uint64_t number, T* row) {
    for (int64_t d = 0; d < columns; d += 4) {
      const auto words = random.block(number, static_cast<uint64_t>(d / 4));
      for (int64_t i = d; i < std::min(columns, d + 4); ++i) {
        const double uniform = words[static_cast<size_t>(i - d)] * 0x1p-32;
        row[i] = static_cast<T>(1.0 + epsilon * (2.0 * uniform - 1.0));
      }
    }
  });
}

void normal_draws(Stream& stream, const Random& random, View rows, View out) {
  const int64_t columns = out.dim(1);
  fill_as(stream, rows, out, [&]<typename T>(uint64_t number, T* row) {
    for (int64_t e = 0; e < columns; ++e)
      row[e] = static_cast<T>(random.normal(number, static_cast<uint64_t>(e)));
  });
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void jitter_draws(Stream& stream, const Random& random, View rows, double epsilon, View out) {
  on_device<cpu::jitter_draws>(stream, random, rows, epsilon, out);
}

void normal_draws(Stream& stream, const Random& random, View rows, View out) {
  on_device<cpu::normal_draws>(stream, random, rows, out);
}

}  // namespace troupe::kernels
