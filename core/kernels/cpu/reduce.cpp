#include "core/kernels/reduce.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"
#include "core/kernels/cpu/ordered_sum.h"
#include "core/kernels/cpu/row_access.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

constexpr int64_t kSpan = 8192;      // elements of a chunk of a row sum
constexpr int64_t kChunkRows = 128;  // rows of a chunk of a column sum

template <typename T>
void sum_rows(Stream& stream, View in, View out, int64_t rows, int64_t n) {
  const int64_t chunks = std::max<int64_t>(1, (n + kSpan - 1) / kSpan);
  const Scratch<T> partial(stream, 1, rows * chunks);
  T* sums = partial.slot(0);
  const int64_t per_piece = std::max<int64_t>(1, kSpan / std::max<int64_t>(1, std::min(n, kSpan)));
  for_row_pieces(stream, rows * chunks, per_piece, [&](int64_t first, int64_t last) {
    T buffer[kSpan];
    for (int64_t i = first; i < last; ++i) {
      const int64_t begin = i % chunks * kSpan;
      const int64_t count = std::min(kSpan, n - begin);
      sums[i] = vec::sum(read_row<T>(in, i / chunks * n + begin, count, buffer), count);
    }
  });
  for (int64_t row = 0; row < rows; ++row) {
    T total = sums[row * chunks];
    for (int64_t chunk = 1; chunk < chunks; ++chunk) total += sums[row * chunks + chunk];
    write_row<T>(out, row, 1, &total);
  }
}

template <typename T>
void sum_columns(Stream& stream, View in, View out, int64_t outer, int64_t mid, int64_t inner) {
  const int64_t chunks = std::max<int64_t>(1, (mid + kChunkRows - 1) / kChunkRows);
  const Scratch<T> partial(stream, outer * chunks, inner);
  const Scratch<T> buffers(stream, stream.threads, inner);
  parallel_for(stream, outer * chunks, [&](int64_t piece) {
    T* sums = partial.slot(piece);
    std::fill(sums, sums + inner, T(0));
    T* buffer = buffers.slot(thread_index());
    const int64_t first = piece % chunks * kChunkRows;
    for (int64_t m = first; m < std::min(mid, first + kChunkRows); ++m) {
      const T* row = read_row<T>(in, (piece / chunks * mid + m) * inner, inner, buffer);
      for (int64_t i = 0; i < inner; ++i) sums[i] += row[i];
    }
  });
  for (int64_t o = 0; o < outer; ++o) {
    T* sums = partial.slot(o * chunks);
    for (int64_t chunk = 1; chunk < chunks; ++chunk) {
      const T* more = partial.slot(o * chunks + chunk);
      for (int64_t i = 0; i < inner; ++i) sums[i] += more[i];
    }
    write_row<T>(out, o * inner, inner, sums);
  }
}

template <typename T>
void sum_middle_as(Stream& stream, View in, View out) {
  const int64_t outer = in.dim(0);
  const int64_t mid = in.dim(1);
  const int64_t inner = in.dim(2);
  if (outer * inner == 0) return;
  if (inner == 1) {
    sum_rows<T>(stream, in, out, outer, mid);
  } else {
    sum_columns<T>(stream, in, out, outer, mid, inner);
  }
}

}  // namespace

void sum_middle(Stream& stream, View in, View out) {
  require(in.shape.rank() == 3 && out.shape == Shape({in.dim(0), in.dim(2)}) && in.contiguous() &&
              out.contiguous(),
          "sum_middle of {} into {}", in.shape.text(), out.shape.text());
  if (in.dtype == DType::f64) return sum_middle_as<double>(stream, in, out);
  sum_middle_as<float>(stream, in, out);
}

void sum_in_order(Stream& stream, std::span<const Part> parts, View out) {
  constexpr int64_t kSumPiece = 32768;  // elements that one thread adds at a time
  const auto size = static_cast<int64_t>(size_of(out.dtype));
  const int64_t count = out.elements();
  parallel_for(stream, (count + kSumPiece - 1) / kSumPiece, [&](int64_t piece) {
    const int64_t begin = piece * kSumPiece;
    std::vector<const void*> in;
    for (const Part& part : parts)
      in.push_back(static_cast<const std::byte*>(part.x.data) + begin * size);
    ordered_sum(out.dtype, in, static_cast<std::byte*>(out.data) + begin * size,
                std::min(kSumPiece, count - begin));
  });
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void sum_middle(Stream& stream, View in, View out) { on_device<cpu::sum_middle>(stream, in, out); }

void sum_in_order(Stream& stream, std::span<const Part> parts, View out) {
  on_device<cpu::sum_in_order>(stream, parts, out);
}

}  // namespace troupe::kernels
