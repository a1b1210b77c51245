#include <cmath>
#include <limits>

#include "core/kernels/attention.h"
#include "core/kernels/cpu/row_access.h"

namespace troupe::kernels {
namespace {

// One kv head of one sequence: all queries of its group read each key and each value once.
template <typename T>
void decode_head(const View& q, const View& k, const View& v, T scale, const AttentionMask& mask,
                 int64_t b, int64_t kv, T* scratch, const View& out) {
  const int64_t queries = q.dim(1);
  const int64_t heads = q.dim(2);
  const int64_t n = q.dim(3);
  const int64_t keys = k.dim(1);
  const int64_t group = heads / k.dim(2);
  T* row = scratch;
  T* query = row + n;                      // [queries * group, n]
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
  for (int64_t j = 0; j < keys; ++j) {
    const T* key = read_row<T>(k, b * k.strides[0] + j * k.strides[1] + kv * k.strides[2], n, row);
    for (int64_t i = 0; i < queries * group; ++i) {
      const bool seen = j >= first[i / group] && j < end[i / group];
      scores[i * keys + j] =
          seen ? vec::dot(query + i * n, key, n) : -std::numeric_limits<T>::infinity();
    }
  }
  for (int64_t i = 0; i < queries * group; ++i) {
    T* p = scores + i * keys;
    const T top = vec::max(p, keys);
    const bool empty = top == -std::numeric_limits<T>::infinity();
    const T total = vec::exp_shifted(p, empty ? T(0) : top, p, keys);
    vec::scale(empty ? T(0) : T(1) / total, p, p, keys);
  }
  std::fill(sums, scores, T(0));
  for (int64_t j = 0; j < keys; ++j) {
    const T* value =
        read_row<T>(v, b * v.strides[0] + j * v.strides[1] + kv * v.strides[2], n, row);
    for (int64_t i = 0; i < queries * group; ++i) {
      const bool seen = j >= first[i / group] && j < end[i / group];
      if (seen) vec::axpy(scores[i * keys + j], value, sums + i * n, n);
    }
  }
  for (int64_t i = 0; i < queries * group; ++i) {
    const int64_t at = ((b * queries + i / group) * heads + kv * group + i % group) * n;
    write_row<T>(out, at, n, sums + i * n);
  }
}

template <typename T>
void decode_as(Stream& stream, const View& q, const View& k, const View& v, double scale,
               const AttentionMask& mask, const View& out) {
  const int64_t rows = q.dim(1) * (q.dim(2) / k.dim(2));
  const Scratch<T> scratch(stream, stream.threads, q.dim(3) * (2 * rows + 1) + rows * k.dim(1));
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

}  // namespace troupe::kernels
