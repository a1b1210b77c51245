#include "core/kernels/rows.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "core/kernels/cpu/row_access.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

int64_t key_at(const View& keys, int64_t i) {
  return keys.dtype == DType::i32 ? static_cast<const int32_t*>(keys.data)[i]
                                  : static_cast<const int64_t*>(keys.data)[i];
}

template <typename T>
void gather_as(Stream& stream, View table, View ids, View out) {
  const int64_t n = table.dim(1);
  const Scratch<T> scratch(stream, stream.threads, n);
  const bool plain = table.dtype == out.dtype;
  const auto size = static_cast<int64_t>(size_of(out.dtype));
  for_row_pieces(stream, ids.elements(), rows_per_piece(n), [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
      const int64_t id = key_at(ids, r);
      auto* target = static_cast<std::byte*>(out.data) + r * n * size;
      if (id < 0) {
        std::memset(target, 0, static_cast<size_t>(n * size));
      } else if (plain) {
        std::memcpy(target, static_cast<const std::byte*>(table.data) + id * n * size,
                    static_cast<size_t>(n * size));
      } else {
        T* buffer = scratch.slot(thread_index());
        write_row<T>(out, r * n, n, read_row<T>(table, id * n, n, buffer));
      }
    }
  });
}

// The sum of weights[e] * x[row[e]] over the entries [begin, end), in their order: [n] in the wide
// type T of X.
template <typename T, typename X>
void sum_entries(const X* x, const int32_t* row, const T* weights, int64_t begin, int64_t end,
                 int64_t n, T* sum) {
  if (begin == end) std::fill(sum, sum + n, T(0));
  for (int64_t e = begin; e < end; ++e) {
    const T weight = weights == nullptr ? T(1) : weights[e];
    if (e == begin) {
      vec::scale(weight, x + row[e] * n, sum, n);
    } else {
      vec::axpy(weight, x + row[e] * n, sum, n);
    }
  }
}

template <typename T, typename X>
void combine_as(Stream& stream, View x, View offsets, View rows, View weights, View out,
                bool accumulate) {
  const int64_t n = x.dim(1);
  const int32_t* begin = offsets.as<int32_t>();
  const int32_t* row = rows.as<int32_t>();
  const T* w = weights.data == nullptr ? nullptr : weights.as<T>();
  const Scratch<T> scratch(stream, stream.threads, 2 * n);
  for_row_pieces(stream, out.dim(0), rows_per_piece(n), [&](int64_t first, int64_t last) {
    T* buffer = scratch.slot(thread_index());
    for (int64_t t = first; t < last; ++t) {
      if (accumulate && begin[t] == begin[t + 1]) continue;
      T* sum = accumulate ? buffer + n : result_row(out, t * n, buffer);
      sum_entries(x.as<X>(), row, w, begin[t], begin[t + 1], n, sum);
      if (accumulate) vec::axpy(T(1), read_row<T>(out, t * n, n, buffer), sum, n);
      write_row<T>(out, t * n, n, sum);
    }
  });
}

template <typename T>
void dots_as(Stream& stream, View a, View a_rows, View b, View b_rows, View out) {
  const int64_t n = a.dim(1);
  const Scratch<T> scratch(stream, stream.threads, 2 * n);
  for_row_pieces(stream, out.elements(), rows_per_piece(n), [&](int64_t first, int64_t last) {
    T* buffer = scratch.slot(thread_index());
    for (int64_t e = first; e < last; ++e) {
      const T* left = read_row<T>(a, key_at(a_rows, e) * n, n, buffer);
      const T* right = read_row<T>(b, key_at(b_rows, e) * n, n, buffer + n);
      out.as<T>()[e] = vec::dot(left, right, n);
    }
  });
}

// f(a zero of the type)
template <typename F>
void by_type(const View& x, F f) {
  if (x.dtype == DType::f64) return f(double{});
  if (x.dtype == DType::f32) return f(float{});
  f(BF16{});
}

// f(i, row, index[i]) for the elements of index [R, K].
template <typename F>
void for_index(const View& index, F f) {
  const int64_t k = index.dim(1);
  const auto* at = index.as<int32_t>();
  for (int64_t i = 0; i < index.elements(); ++i) f(i, i / k, at[i]);
}

}  // namespace

void gather_rows(Stream& stream, View table, View ids, View out) {
  if (table.dtype == DType::f64) return gather_as<double>(stream, table, ids, out);
  gather_as<float>(stream, table, ids, out);
}

void combine_rows(Stream& stream, View x, View offsets, View rows, View weights, View out,
                  bool accumulate) {
  const auto combine = x.dtype == DType::f64    ? combine_as<double, double>
                       : x.dtype == DType::bf16 ? combine_as<float, BF16>
                                                : combine_as<float, float>;
  combine(stream, x, offsets, rows, weights, out, accumulate);
}

void row_dots(Stream& stream, View a, View a_rows, View b, View b_rows, View out) {
  if (a.dtype == DType::f64) return dots_as<double>(stream, a, a_rows, b, b_rows, out);
  dots_as<float>(stream, a, a_rows, b, b_rows, out);
}

void check_rows(Stream& /*stream*/, const char* op, View rows, int64_t lowest, int64_t count) {
  const auto* data = rows.as<int32_t>();
  for (int64_t i = 0, n = rows.elements(); i < n; ++i) {
    require(data[i] >= lowest && data[i] < count, "{}: row index {} at {}, there are {} rows", op,
            data[i], i, count);
  }
}

void check_ids(Stream& /*stream*/, View ids, int64_t vocabulary, const std::string& table) {
  for (int64_t i = 0, n = ids.elements(); i < n; ++i) {
    const int64_t id = key_at(ids, i);
    if (id >= 0 && id < vocabulary) continue;
    fail(ExitCode::data,
         "token id {} at position {} is outside the vocabulary of {} ({} has ids 0 to {}): the "
         "data was made with another tokenizer, or the vocabulary of the model is too small",
         id, i, vocabulary, table, vocabulary - 1);
  }
}

void row_owners(Stream& /*stream*/, View offsets, View owners) {
  const auto* begin = offsets.as<int32_t>();
  auto* owner = owners.as<int32_t>();
  for (int64_t t = 0, count = offsets.elements() - 1; t < count; ++t)
    std::fill(owner + begin[t], owner + begin[t + 1], static_cast<int32_t>(t));
}

void take_entries(Stream& /*stream*/, View from, View entries, View out) {
  const auto* entry = entries.as<int32_t>();
  const auto take = [&](auto* source, auto* to) {
    for (int64_t i = 0; i < entries.elements(); ++i) to[i] = source[entry[i]];
  };
  if (from.dtype == DType::f64) return take(from.as<double>(), out.as<double>());
  if (from.dtype == DType::i32) return take(from.as<int32_t>(), out.as<int32_t>());
  take(from.as<float>(), out.as<float>());
}

void rows_in_part(Stream& /*stream*/, View ids, int64_t first, int64_t count, View out) {
  for (int64_t i = 0; i < ids.elements(); ++i) {
    const int64_t id = key_at(ids, i);
    const bool here = id >= first && id < first + count;
    out.as<int32_t>()[i] = here ? static_cast<int32_t>(id - first) : -1;
  }
}

void take_along_rows(Stream& /*stream*/, View x, View index, View out) {
  by_type(x, [&](auto zero) {
    using T = decltype(zero);
    for_index(index, [&, from = x.as<T>(), to = out.as<T>()](int64_t i, int64_t row, int64_t at) {
      to[i] = from[row * x.dim(1) + at];
    });
  });
}

void take_along_rows_gradient(Stream& /*stream*/, View dy, View index, View dx) {
  by_type(dy, [&](auto zero) {
    using T = decltype(zero);
    for_index(index, [&, from = dy.as<T>(), to = dx.as<T>()](int64_t i, int64_t row, int64_t at) {
      T& target = to[row * dx.dim(1) + at];
      if constexpr (std::is_same_v<T, BF16>) {
        target = BF16(static_cast<float>(target) + static_cast<float>(from[i]));
      } else {
        target += from[i];
      }
    });
  });
}

void group_by_key(Stream& /*stream*/, View keys, int64_t count, View offsets, View order) {
  int32_t* begin = offsets.as<int32_t>();
  int32_t* to = order.as<int32_t>();
  const int64_t n = keys.elements();
  std::fill(begin, begin + count + 1, 0);
  for (int64_t r = 0; r < n; ++r) {
    const int64_t key = key_at(keys, r);
    require(key >= -1 && key < count, "row index {} at {}, there are {} rows", key, r, count);
    if (key >= 0) ++begin[key];
  }
  int32_t total = 0;
  for (int64_t t = 0; t <= count; ++t) {  // begin[t] = end of group t, lowered below to its start
    total += t < count ? begin[t] : 0;
    begin[t] = total;
  }
  for (int64_t r = n - 1; r >= 0; --r) {
    const int64_t key = key_at(keys, r);
    if (key >= 0) to[--begin[key]] = static_cast<int32_t>(r);
  }
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void gather_rows(Stream& stream, View table, View ids, View out) {
  on_device<cpu::gather_rows>(stream, table, ids, out);
}

void combine_rows(Stream& stream, View x, View offsets, View rows, View weights, View out,
                  bool accumulate) {
  on_device<cpu::combine_rows>(stream, x, offsets, rows, weights, out, accumulate);
}

void row_dots(Stream& stream, View a, View a_rows, View b, View b_rows, View out) {
  on_device<cpu::row_dots>(stream, a, a_rows, b, b_rows, out);
}

void group_by_key(Stream& stream, View keys, int64_t count, View offsets, View order) {
  on_device<cpu::group_by_key>(stream, keys, count, offsets, order);
}

void check_rows(Stream& stream, const char* op, View rows, int64_t lowest, int64_t count) {
  on_device<cpu::check_rows>(stream, op, rows, lowest, count);
}

void check_ids(Stream& stream, View ids, int64_t vocabulary, const std::string& table) {
  on_device<cpu::check_ids>(stream, ids, vocabulary, table);
}

void row_owners(Stream& stream, View offsets, View owners) {
  on_device<cpu::row_owners>(stream, offsets, owners);
}

void take_entries(Stream& stream, View from, View entries, View out) {
  on_device<cpu::take_entries>(stream, from, entries, out);
}

void rows_in_part(Stream& stream, View ids, int64_t first, int64_t count, View out) {
  on_device<cpu::rows_in_part>(stream, ids, first, count, out);
}

void take_along_rows(Stream& stream, View x, View index, View out) {
  on_device<cpu::take_along_rows>(stream, x, index, out);
}

void take_along_rows_gradient(Stream& stream, View dy, View index, View dx) {
  on_device<cpu::take_along_rows_gradient>(stream, dy, index, dx);
}

}  // namespace troupe::kernels
