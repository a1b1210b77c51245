#include "moe/layer/layer_stats.h"

#include <cmath>

#include "core/device/cpu/parallel_for.h"
#include "core/tensor/host_memory.h"

namespace troupe {
namespace {

// Adds the sums over rows [begin, end) that are no padding: columns into `sums`, entropy of the
// rows into *entropy (if asked for).
template <typename T>
void add_rows(const T* x, int64_t begin, int64_t end, int64_t columns, const TokenContext& context,
              double* sums, double* entropy) {
  for (int64_t t = begin; t < end; ++t) {
    if (!context.is_valid(t)) continue;
    for (int64_t e = 0; e < columns; ++e) {
      const T p = x[t * columns + e];
      sums[e] += static_cast<double>(p);
      if (entropy != nullptr && p > T{0}) *entropy -= static_cast<double>(p * std::log(p));
    }
  }
}

// Sums over the valid tokens in fixed pieces of rows, added in order.
void sum_rows(const Tensor& x_TE, const TokenContext& context, std::vector<double>& sums,
              double* entropy) {
  constexpr int64_t kRows = 256;
  const int64_t tokens = x_TE.dim(0);
  const int64_t columns = x_TE.dim(1);
  const int64_t pieces = (tokens + kRows - 1) / kRows;
  const HostBytes x(x_TE, HostAccess::read);
  std::vector<double> partial(static_cast<size_t>(pieces * (columns + 1)), 0.0);
  parallel_for(x_TE.stream(), pieces, [&](int64_t piece) {
    double* into = partial.data() + piece * (columns + 1);
    double* entropy_into = entropy != nullptr ? into + columns : nullptr;
    const int64_t end = std::min(tokens, (piece + 1) * kRows);
    if (x_TE.dtype() == DType::f64) {
      add_rows(reinterpret_cast<const double*>(x.data()), piece * kRows, end, columns, context,
               into, entropy_into);
    } else {
      add_rows(reinterpret_cast<const float*>(x.data()), piece * kRows, end, columns, context, into,
               entropy_into);
    }
  });
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const double* from = partial.data() + piece * (columns + 1);
    for (int64_t e = 0; e < columns; ++e) sums[static_cast<size_t>(e)] += from[e];
    if (entropy != nullptr) *entropy += from[columns];
  }
}

}  // namespace

RouterStats count_routing(const Routing& routing, const SparseAssignment& assignment,
                          const TokenContext& context, RouterStats stats) {
  stats.selected = assignment.selected_counts();
  stats.kept = assignment.kept_counts();
  if (!stats.first.empty()) stats.first = assignment.first_counts();
  for (int64_t t = 0; t < context.tokens(); ++t) stats.tokens += context.is_valid(t) ? 1 : 0;
  if (routing.probabilities_TE.defined() && !stats.probability_sum.empty())
    sum_rows(routing.probabilities_TE, context, stats.probability_sum, &stats.entropy_sum);
  if (routing.load_TE.defined() && !stats.load_sum.empty())
    sum_rows(routing.load_TE, context, stats.load_sum, nullptr);
  return stats;
}

}  // namespace troupe
