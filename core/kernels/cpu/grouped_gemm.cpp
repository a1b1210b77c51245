#include "core/kernels/grouped_gemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/device/parallel_for.h"
#include "core/kernels/cpu/row_pieces.h"
#include "core/kernels/cpu/tiles.h"
#include "core/kernels/cpu/weight_product.h"
#include "core/kernels/product.h"

namespace troupe::kernels {
namespace {

std::byte* at(const View& v, int64_t row, int64_t column = 0) {
  return static_cast<std::byte*>(v.data) +
         (row * v.strides[0] + column) * static_cast<int64_t>(size_of(v.dtype));
}

void check_rows(const View& v, const char* what) {
  require(v.shape.rank() == 2 && (v.strides[1] == 1 || v.shape[1] <= 1),
          "grouped product: {} must be rows with contiguous columns, got shape {}, strides {}",
          what, v.shape.text(), v.strides.text());
}

}  // namespace

void copy_rows(const void* from, int64_t from_ld, int64_t rows, int64_t filled_rows,
               int64_t columns, int64_t size, void* to, int64_t to_ld) {
  const auto* source = static_cast<const std::byte*>(from);
  auto* target = static_cast<std::byte*>(to);
  const auto bytes = static_cast<size_t>(columns * size);
  if (bytes == 0) return;
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(target + r * to_ld * size, source + r * from_ld * size, bytes);
  }
  for (int64_t r = rows; r < filled_rows; ++r) std::memset(target + r * to_ld * size, 0, bytes);
}

const Product& weight_product(Device& device, const WeightOperand& weight, int64_t rows,
                              int64_t lda, int64_t columns, DType out, int64_t ldc) {
  ProductShape shape;
  shape.m = rows;
  shape.n = columns;
  shape.k = weight.k;
  shape.lda = std::max<int64_t>(lda, 1);
  shape.ldb = weight.block > 0 ? 0 : std::max<int64_t>(weight.ld(), 1);
  shape.ldc = std::max<int64_t>(ldc, 1);
  shape.transpose_b = weight.block == 0 && weight.transposed;
  shape.in = weight.dtype;
  shape.out = out;
  shape.block = weight.block;
  return product(device, shape);
}

void grouped_gemm(Stream& stream, View x, RowGroups groups, const WeightOperand& weight, View out) {
  check_rows(x, "x");
  check_rows(out, "out");
  require(x.shape[0] == groups.total() && out.shape[0] == x.shape[0] && x.shape[1] == weight.k &&
              out.shape[1] == weight.n && groups.experts == weight.experts &&
              x.dtype == weight.dtype,
          "grouped product of {} in {} with {} weights [{}, {}] in {} into {}", x.shape.text(),
          name(x.dtype), weight.experts, weight.k, weight.n, name(weight.dtype), out.shape.text());
  const std::vector<RowPiece> pieces = row_pieces(groups, weight.n);
  Device& device = *stream.device;
  const auto in_size = static_cast<int64_t>(size_of(x.dtype));
  const auto out_size = static_cast<int64_t>(size_of(out.dtype));
  parallel_for(stream, static_cast<int64_t>(pieces.size()), [&](int64_t index) {
    const RowPiece& p = pieces[static_cast<size_t>(index)];
    const int64_t m = product_rows(p.rows);
    const std::byte* b = weight.columns(p.expert, p.column);
    if (m == p.rows) {
      run(weight_product(device, weight, m, x.strides[0], p.columns, out.dtype, out.strides[0]),
          at(x, p.row), b, at(out, p.row, p.column));
      return;
    }
    const int64_t in_bytes = (m * weight.k * in_size + 63) / 64 * 64;
    auto* rows_in =
        static_cast<std::byte*>(thread_scratch(device, in_bytes + m * p.columns * out_size));
    std::byte* rows_out = rows_in + in_bytes;
    copy_rows(at(x, p.row), x.strides[0], p.rows, m, weight.k, in_size, rows_in, weight.k);
    run(weight_product(device, weight, m, weight.k, p.columns, out.dtype, p.columns), rows_in, b,
        rows_out);
    copy_rows(rows_out, p.columns, p.rows, p.rows, p.columns, out_size, at(out, p.row, p.column),
              out.strides[0]);
  });
}

void pad_rows(Stream& stream, View x, RowGroups groups, View out) {
  const auto size = static_cast<int64_t>(size_of(x.dtype));
  std::vector<RowPiece> experts(static_cast<size_t>(groups.experts));
  RowPiece next;
  for (int64_t e = 0; e < groups.experts; ++e) {
    next.rows = groups.rows[e];
    experts[static_cast<size_t>(e)] = next;
    next.row += next.rows;
    next.padded_row += padded_rows(next.rows);
  }
  parallel_for(stream, groups.experts, [&](int64_t e) {
    const RowPiece& p = experts[static_cast<size_t>(e)];
    copy_rows(at(x, p.row), x.strides[0], p.rows, padded_rows(p.rows), x.shape[1], size,
              at(out, p.padded_row), out.strides[0]);
  });
}

}  // namespace troupe::kernels
