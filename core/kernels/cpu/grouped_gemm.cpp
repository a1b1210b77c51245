#include "core/kernels/grouped_gemm.h"

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/pack.h"
#include "core/kernels/cpu/product.h"
#include "core/kernels/cpu/row_pieces.h"
#include "core/kernels/cpu/weight_product.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
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

int64_t whole_lines(int64_t bytes) { return (bytes + 63) / 64 * 64; }

// One piece: rows and results go through scratch where they have gaps or are too few.
void run_piece(Device& device, const RowPiece& p, const View& x, const WeightOperand& weight,
               const View& out) {
  const int64_t m = product_rows(p.rows);
  const auto in_size = static_cast<int64_t>(size_of(x.dtype));
  const auto out_size = static_cast<int64_t>(size_of(out.dtype));
  const bool direct_in = m == p.rows && x.strides[0] == weight.k;
  const bool direct_out = m == p.rows && out.strides[0] == p.columns;
  const int64_t in_bytes = direct_in ? 0 : whole_lines(m * weight.k * in_size);
  const int64_t out_bytes = direct_out ? 0 : m * p.columns * out_size;
  auto* scratch = static_cast<std::byte*>(
      in_bytes + out_bytes > 0 ? thread_scratch(device, in_bytes + out_bytes) : nullptr);
  std::byte* rows_in = direct_in ? at(x, p.row) : scratch;
  std::byte* rows_out = direct_out ? at(out, p.row) : scratch + in_bytes;
  if (!direct_in) {
    copy_rows(at(x, p.row), x.strides[0], p.rows, m, weight.k, in_size, rows_in, weight.k);
  }
  run(weight_product(device, weight, m, p.columns, out.dtype), rows_in,
      weight.columns(p.expert, p.column), rows_out);
  if (!direct_out) {
    copy_rows(rows_out, p.columns, p.rows, p.rows, p.columns, out_size, at(out, p.row, p.column),
              out.strides[0]);
  }
}

template <typename F>
void for_row_blocks(Stream& stream, const View& x, RowGroups groups, F&& f) {
  check_rows(x, "an operand of the weight gradient");
  const std::vector<RowPiece> pieces = row_pieces(groups, 1);
  parallel_for(stream, static_cast<int64_t>(pieces.size()), [&](int64_t index) {
    const RowPiece& p = pieces[static_cast<size_t>(index)];
    f(p, RowsBlock{at(x, p.row), x.dtype, x.strides[0], p.rows, padded_rows(p.rows), x.shape[1]});
  });
}

}  // namespace

namespace {

ProductShape product_shape(const WeightOperand& weight, int64_t rows, int64_t columns, DType out) {
  ProductShape shape;
  shape.m = rows;
  shape.n = columns;
  shape.k = weight.k;
  shape.lda = std::max<int64_t>(weight.k, 1);
  shape.ldb = weight.block > 0 ? 0 : std::max<int64_t>(weight.ld(), 1);
  shape.ldc = std::max<int64_t>(columns, 1);
  shape.transpose_b = weight.block == 0 && weight.transposed;
  shape.in = weight.dtype;
  shape.out = out;
  shape.block = weight.block;
  return shape;
}

}  // namespace

const Product& weight_product(Device& device, const WeightOperand& weight, int64_t rows,
                              int64_t columns, DType out) {
  return product(device, product_shape(weight, rows, columns, out));
}

void prepare_rows(Device& device, const WeightOperand& weight, int64_t columns, DType out) {
  if (weight.experts == 1) return;
  prepare(device, product_shape(weight, 0, columns, out), kProductRows.size(), [&](int64_t i) {
    return product_shape(weight, kProductRows[static_cast<size_t>(i - 1)], columns, out);
  });
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
  if (!pieces.empty()) {
    // The columns of a row's pieces: all of one width but the last.
    prepare_rows(*stream.device, weight, pieces.front().columns, out.dtype);
    if (const int64_t rest = weight.n % pieces.front().columns; rest > 0)
      prepare_rows(*stream.device, weight, rest, out.dtype);
  }
  parallel_for(stream, static_cast<int64_t>(pieces.size()), [&](int64_t index) {
    run_piece(*stream.device, pieces[static_cast<size_t>(index)], x, weight, out);
  });
}

void transpose_groups(Stream& stream, View x, RowGroups groups, View out) {
  const auto size = static_cast<int64_t>(size_of(x.dtype));
  for_row_blocks(stream, x, groups, [&](const RowPiece& p, const RowsBlock& block) {
    const int64_t first = p.padded_row - p.row_in_expert;
    transpose_block(
        block, static_cast<std::byte*>(out.data) + (first * block.columns + p.row_in_expert) * size,
        padded_rows(p.expert_rows));
  });
}

void pack_groups(Stream& stream, View x, RowGroups groups, View out) {
  const auto size = static_cast<int64_t>(size_of(x.dtype));
  const int panel = right_block(*stream.device, x.dtype, x.shape[1]);
  for_row_blocks(stream, x, groups, [&](const RowPiece& p, const RowsBlock& block) {
    const int64_t first = p.padded_row - p.row_in_expert;
    pack_block(block, p.row_in_expert, padded_rows(p.expert_rows), panel,
               static_cast<std::byte*>(out.data) + first * block.columns * size);
  });
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void grouped_gemm(Stream& stream, View x, RowGroups groups, const WeightOperand& weight, View out) {
  on_device<cpu::grouped_gemm>(stream, x, groups, weight, out);
}

void transpose_groups(Stream& stream, View x, RowGroups groups, View out) {
  on_device<cpu::transpose_groups>(stream, x, groups, out);
}

void pack_groups(Stream& stream, View x, RowGroups groups, View out) {
  on_device<cpu::pack_groups>(stream, x, groups, out);
}

}  // namespace troupe::kernels
