#include "core/kernels/gemm.h"

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/product.h"
#include "core/kernels/cpu/tiles.h"
#include "core/kernels/dispatch.h"
#include "core/kernels/elementwise.h"
#include "core/tensor/tensor.h"

namespace troupe::kernels::cpu {

void copy(Stream& stream, View in, View out);  // elementwise.cpp

namespace {

// One operand as a batch of matrices with a unit stride in one of the last two dims.
struct Operand {
  View view;
  Tensor copy;  // when it had no unit stride
  bool transposed = false;
  int64_t ld = 0;
  int64_t batch_stride = 0;
};

bool usable(const View& v) {
  const int64_t rows = v.shape[-2];
  const int64_t columns = v.shape[-1];
  const bool by_rows =
      (v.strides[-1] == 1 || columns <= 1) && (v.strides[-2] >= columns || rows <= 1);
  const bool by_columns =
      (v.strides[-2] == 1 || rows <= 1) && (v.strides[-1] >= rows || columns <= 1);
  return by_rows || by_columns;
}

Operand operand(Stream& stream, View view, bool transpose) {
  Operand out;
  if (!usable(view)) {
    out.copy = Tensor::empty(view.shape, view.dtype, stream.device->shared_from_this());
    View place = out.copy.view();
    place.data = stream.device->for_kernels(place.data);
    cpu::copy(stream, view, place);
    view = place;
  }
  out.view = view;
  const int64_t rows = view.shape[-2];
  const int64_t columns = view.shape[-1];
  const bool by_rows =
      (view.strides[-1] == 1 || columns <= 1) && (view.strides[-2] >= columns || rows <= 1);
  out.ld = std::max<int64_t>(
      {by_rows ? view.strides[-2] : view.strides[-1], by_rows ? columns : rows, 1});
  out.transposed = transpose == by_rows;
  out.batch_stride = view.shape.rank() == 3 ? view.strides[0] : 0;
  return out;
}

void check_shapes(const View& a, bool ta, const View& b, bool tb, const View& out) {
  const int rank = out.shape.rank();
  require((rank == 2 || rank == 3) && a.shape.rank() == rank && b.shape.rank() == rank,
          "gemm of ranks {} and {} into {}", a.shape.rank(), b.shape.rank(), rank);
  const bool fits = a.shape[ta ? -1 : -2] == out.shape[-2] &&
                    b.shape[tb ? -2 : -1] == out.shape[-1] &&
                    a.shape[ta ? -2 : -1] == b.shape[tb ? -1 : -2] &&
                    (rank == 2 || (a.shape[0] == out.shape[0] && b.shape[0] == out.shape[0]));
  require(fits, "gemm: {}{} times {}{} does not give {}", a.shape.text(), ta ? "^T" : "",
          b.shape.text(), tb ? "^T" : "", out.shape.text());
  require(a.dtype == b.dtype, "gemm of {} and {}", name(a.dtype), name(b.dtype));
  require(out.strides[-1] == 1 || out.shape[-1] <= 1,
          "gemm writes rows with contiguous columns, got strides {}", out.strides.text());
}

}  // namespace

void gemm(Stream& stream, View a, bool transpose_a, View b, bool transpose_b, View out,
          bool accumulate) {
  check_shapes(a, transpose_a, b, transpose_b, out);
  const int64_t batch = out.shape.rank() == 3 ? out.shape[0] : 1;
  const int64_t m = out.shape[-2];
  const int64_t n = out.shape[-1];
  if (batch * m * n == 0) return;
  const Operand left = operand(stream, a, transpose_a);
  const Operand right = operand(stream, b, transpose_b);
  ProductShape shape;
  shape.k = a.shape[transpose_a ? -2 : -1];
  shape.lda = left.ld;
  shape.ldb = right.ld;
  shape.ldc = std::max(out.strides[-2], n);
  shape.transpose_a = left.transposed;
  shape.transpose_b = right.transposed;
  shape.accumulate = accumulate;
  shape.in = a.dtype;
  shape.out = out.dtype;
  const Tiles tiles(m, n, batch);
  const auto in_size = static_cast<int64_t>(size_of(a.dtype));
  const auto out_size = static_cast<int64_t>(size_of(out.dtype));
  const int64_t out_batch = out.shape.rank() == 3 ? out.strides[0] : 0;
  Device& device = *stream.device;
  parallel_for(stream, batch * tiles.count(), [&](int64_t piece) {
    const int64_t index = piece / tiles.count();
    const Tile tile = tiles.tile(piece % tiles.count());
    ProductShape part = shape;
    part.m = tile.rows;
    part.n = tile.columns;
    const int64_t a_at = index * left.batch_stride + tile.row * (left.transposed ? 1 : left.ld);
    const int64_t b_at =
        index * right.batch_stride + tile.column * (right.transposed ? right.ld : 1);
    const int64_t c_at = index * out_batch + tile.row * shape.ldc + tile.column;
    run(product(device, part), static_cast<const std::byte*>(left.view.data) + a_at * in_size,
        static_cast<const std::byte*>(right.view.data) + b_at * in_size,
        static_cast<std::byte*>(out.data) + c_at * out_size);
  });
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void gemm(Stream& stream, View a, bool transpose_a, View b, bool transpose_b, View out,
          bool accumulate) {
  on_device<cpu::gemm>(stream, a, transpose_a, b, transpose_b, out, accumulate);
}

}  // namespace troupe::kernels
