#include "core/kernels/top_k.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/device/cpu/parallel_for.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

// Each is the best of those that come after the one before in the order (score, column): all are
// distinct without marking what was taken.
void best_of_row(const std::vector<double>& scores, int64_t k, int32_t* best) {
  double last = std::numeric_limits<double>::infinity();
  int32_t last_column = -1;
  for (int64_t i = 0; i < k; ++i) {
    int32_t next = -1;
    for (int32_t e = 0; e < static_cast<int32_t>(scores.size()); ++e) {
      const double score = scores[static_cast<size_t>(e)];
      const bool after = score < last || (score == last && e > last_column);
      if (after && (next == -1 || score > scores[static_cast<size_t>(next)])) next = e;
    }
    last = scores[static_cast<size_t>(next)];
    last_column = next;
    best[i] = next;
  }
}

template <typename T>
void top_k_as(Stream& stream, View scores, View bias, View best) {
  const int64_t rows = scores.dim(0);
  const int64_t columns = scores.dim(1);
  const int64_t k = best.dim(1);
  const T* from = scores.as<T>();
  const T* plus = bias.data == nullptr ? nullptr : bias.as<T>();
  auto* to = best.as<int32_t>();
  constexpr int64_t kRows = 128;
  parallel_for(stream, (rows + kRows - 1) / kRows, [&](int64_t piece) {
    std::vector<double> row(static_cast<size_t>(columns));
    for (int64_t r = piece * kRows; r < std::min(rows, (piece + 1) * kRows); ++r) {
      for (int64_t e = 0; e < columns; ++e) {
        double score = static_cast<double>(from[r * columns + e]);
        if (plus != nullptr) score += static_cast<double>(plus[e]);
        row[static_cast<size_t>(e)] =
            std::isnan(score) ? -std::numeric_limits<double>::infinity() : score;
      }
      best_of_row(row, k, to + r * k);
    }
  });
}

}  // namespace

void top_k(Stream& stream, View scores, View bias, View best) {
  if (scores.dtype == DType::f64) return top_k_as<double>(stream, scores, bias, best);
  top_k_as<float>(stream, scores, bias, best);
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void top_k(Stream& stream, View scores, View bias, View best) {
  on_device<cpu::top_k>(stream, scores, bias, best);
}

}  // namespace troupe::kernels
