#include <algorithm>
#include <cmath>
#include <limits>

#include "core/kernels/attention.h"
#include "core/kernels/cpu/row_access.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

constexpr int64_t kRows = 32;  // keys or values that are met together

// Rows that all queries of a group read while they are in the cache.
template <typename T>
struct CachedRows {
  const T* data;
  int64_t stride;

  // Of one kv head of one sequence, from `first` on: in place, or converted through `buffer`.
  CachedRows(const View& view, int64_t b, int64_t kv, int64_t first, int64_t count, T* buffer) {
    const int64_t n = view.dim(3);
    const auto at = [&](int64_t j) {
      return b * view.strides[0] + (first + j) * view.strides[1] + kv * view.strides[2];
    };
    data = read_row<T>(view, at(0), n, buffer);
    stride = data == buffer ? n : view.strides[1];
    for (int64_t j = 1; j < count && data == buffer; ++j)
      read_row<T>(view, at(j), n, buffer + j * n);
  }
};

// One kv head of one sequence: all queries of its group read each key and each value once.
template <typename T>
void decode_head(const View& q, const View& k, const View& v, T scale, const AttentionMask& mask,
                 int64_t b, int64_t kv, T* scratch, const View& out) {
  const int64_t queries = q.dim(1);
  const int64_t heads = q.dim(2);
  const int64_t n = q.dim(3);
  const int64_t keys = k.dim(1);
  const int64_t group = heads / k.dim(2);
  T* row = scratch;                        // [kRows, n]
  T* query = row + kRows * n;              // [queries * group, n]
  T* sums = query + queries * group * n;   // [queries * group, n]
  T* scores = sums + queries * group * n;  // [queries * group, keys]
  const auto* first = mask.first.as<int32_t>() + b * queries;
  const auto* end = mask.end.as<int32_t>() + b * queries;
  for (int64_t s = 0; s < queries; ++s) {
    for (int64_t g = 0; g < group; ++g) {
      const int64_t at = b * q.strides[0] + s * q.strides[1] + (kv * group + g) * q.strides[2];
      T* to = query + (s * group + g) * n;
      const T* from = read_row<T>(q, at, n, row);
      for (int64_t i = 0; i < n; ++i) to[i] = scale * from[i];
    }
  }
  // Calls use(i, rows, stride, begin, stop) for what query i sees of each block: [begin, stop),
  // which begins at `rows`.
  const auto for_seen = [&](const View& view, auto use) {
    for (int64_t j = 0; j < keys; j += kRows) {
      const int64_t count = std::min(kRows, keys - j);
      const CachedRows<T> rows(view, b, kv, j, count, row);
      for (int64_t i = 0; i < queries * group; ++i) {
        const int64_t begin = std::max<int64_t>(j, first[i / group]);
        const int64_t stop = std::min<int64_t>(j + count, end[i / group]);
        if (begin < stop) use(i, rows.data + (begin - j) * rows.stride, rows.stride, begin, stop);
      }
    }
  };
  std::fill(scores, scores + queries * group * keys, -std::numeric_limits<T>::infinity());
  for_seen(k, [&](int64_t i, const T* rows, int64_t stride, int64_t begin, int64_t stop) {
    vec::dots(query + i * n, rows, stride, stop - begin, n, scores + i * keys + begin);
  });
  for (int64_t i = 0; i < queries * group; ++i) {
    T* p = scores + i * keys;
    const T top = vec::max(p, keys);
    const bool empty = top == -std::numeric_limits<T>::infinity();
    const T total = vec::exp_shifted(p, empty ? T(0) : top, p, keys);
    vec::scale(empty ? T(0) : T(1) / total, p, p, keys);
  }
  std::fill(sums, scores, T(0));
  for_seen(v, [&](int64_t i, const T* rows, int64_t stride, int64_t begin, int64_t stop) {
    vec::axpys(scores + i * keys + begin, rows, stride, stop - begin, sums + i * n, n);
  });
  for (int64_t i = 0; i < queries * group; ++i) {
    const int64_t at = ((b * queries + i / group) * heads + kv * group + i % group) * n;
    write_row<T>(out, at, n, sums + i * n);
  }
}

template <typename T>
void decode_as(Stream& stream, const View& q, const View& k, const View& v, double scale,
               const AttentionMask& mask, const View& out) {
  const int64_t rows = q.dim(1) * (q.dim(2) / k.dim(2));
  const Scratch<T> scratch(stream, stream.threads, q.dim(3) * (2 * rows + kRows) + rows * k.dim(1));
  parallel_for(stream, q.dim(0) * k.dim(2), [&](int64_t piece) {
    decode_head<T>(q, k, v, static_cast<T>(scale), mask, piece / k.dim(2), piece % k.dim(2),
                   scratch.slot(thread_index()), out);
  });
}

}  // namespace

void attention_decode(Stream& stream, View q, View k, View v, double scale,
                      const AttentionMask& mask, View out) {
  if (q.elements() == 0) return;
  if (q.dtype == DType::f64) return decode_as<double>(stream, q, k, v, scale, mask, out);
  decode_as<float>(stream, q, k, v, scale, mask, out);
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void attention_decode(Stream& stream, View q, View k, View v, double scale,
                      const AttentionMask& mask, View out) {
  on_device<cpu::attention_decode>(stream, q, k, v, scale, mask, out);
}

}  // namespace troupe::kernels
