#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/product.h"
#include "core/kernels/cpu/weight_product.h"
#include "core/kernels/dispatch.h"
#include "core/kernels/grouped_gemm.h"

namespace troupe::kernels::cpu {
namespace {

// Rows of an output tile: whole rows of the gradient, so that nothing has gaps. Smaller tiles until
// there are enough pieces to keep a team busy to its end.
int64_t tile_rows(int64_t m, int64_t experts) {
  int64_t rows = 512;
  while (rows > 64 && experts * ((m + rows - 1) / rows) < 16) rows /= 2;
  return rows;
}

struct Sum {
  int64_t expert = 0;
  int64_t rows = 0;
  int64_t first = 0;
  int64_t filled_rows = 0;
  int64_t first_filled = 0;
};

// Largest first, so that the team ends together.
std::vector<Sum> sums_of(RowGroups groups) {
  std::vector<Sum> out;
  Sum sum;
  for (int64_t e = 0; e < groups.experts; ++e) {
    sum.expert = e;
    sum.rows = groups.rows[e];
    sum.filled_rows = padded_rows(sum.rows);
    out.push_back(sum);
    sum.first += sum.rows;
    sum.first_filled += sum.filled_rows;
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Sum& a, const Sum& b) { return a.rows > b.rows; });
  return out;
}

void check(View gradient, RowGroups groups) {
  require(gradient.contiguous() && gradient.shape.rank() >= 2 &&
              gradient.elements() == groups.experts * gradient.shape[-2] * gradient.shape[-1],
          "the weight gradient of {} experts goes into {}", groups.experts, gradient.shape.text());
}

const std::byte* rows_of(const ExpertRows& operand, const Sum& sum) {
  const int64_t row = operand.filled ? sum.first_filled : sum.first;
  return static_cast<const std::byte*>(operand.rows.data) +
         row * operand.rows.strides[0] * static_cast<int64_t>(size_of(operand.rows.dtype));
}

}  // namespace

void grouped_weight_gradient(Stream& stream, ExpertRows left, ExpertRows right, RowGroups groups,
                             View gradient, bool accumulate) {
  check(gradient, groups);
  const int64_t m = gradient.shape[-2];
  const int64_t n = gradient.shape[-1];
  const auto by_rows = [](const View& v) { return v.strides[1] == 1 || v.shape[1] <= 1; };
  require(left.rows.shape[1] == m && right.rows.shape[1] == n && by_rows(left.rows) &&
              by_rows(right.rows) && left.rows.dtype == right.rows.dtype,
          "the weight gradient {} of rows {} and {}", gradient.shape.text(), left.rows.shape.text(),
          right.rows.shape.text());
  if (m * n == 0) return;
  const std::vector<Sum> sums = sums_of(groups);
  const int64_t step = tile_rows(m, groups.experts);
  const int64_t tiles = (m + step - 1) / step;
  ProductShape shape;
  shape.n = n;
  shape.lda = left.rows.strides[0];
  shape.ldb = right.rows.strides[0];
  shape.ldc = n;
  shape.transpose_a = true;
  shape.accumulate = accumulate;
  shape.in = left.rows.dtype;
  shape.out = gradient.dtype;
  const auto size = static_cast<int64_t>(size_of(shape.in));
  const auto out_size = static_cast<int64_t>(size_of(shape.out));
  parallel_for(stream, groups.experts * tiles, [&](int64_t piece) {
    const Sum& sum = sums[static_cast<size_t>(piece / tiles)];
    const int64_t row = piece % tiles * step;
    ProductShape part = shape;
    part.m = std::min(step, m - row);
    part.k = sum.rows;
    run(*stream.device, part, rows_of(left, sum) + row * size, rows_of(right, sum),
        static_cast<std::byte*>(gradient.data) + (sum.expert * m + row) * n * out_size);
  });
}

int right_block(Device& device, DType dtype, int64_t n) {
  constexpr int64_t typical_rows = 512;
  return packed_block(device, dtype, typical_rows, n);
}

void packed_weight_gradient(Stream& stream, View left, View right, RowGroups groups, View gradient,
                            bool accumulate) {
  check(gradient, groups);
  const DType dtype = left.dtype;
  const int64_t m = gradient.shape[-2];
  const int64_t n = gradient.shape[-1];
  if (m * n == 0) return;
  const std::vector<Sum> sums = sums_of(groups);
  const int64_t step = tile_rows(m, groups.experts);
  const int64_t tiles = (m + step - 1) / step;
  const auto size = static_cast<int64_t>(size_of(dtype));
  const auto out_size = static_cast<int64_t>(size_of(gradient.dtype));
  Device& device = *stream.device;
  ProductShape shape;
  shape.n = n;
  shape.ldb = shape.ldc = n;
  shape.in = dtype;
  shape.out = gradient.dtype;
  shape.block = right_block(device, dtype, n);
  const auto tile = [&](int64_t rows_of_tile, int64_t depth, bool adding) {
    ProductShape part = shape;
    part.m = rows_of_tile;
    part.k = depth;
    part.lda = std::max<int64_t>(depth, 1);
    part.accumulate = adding;
    return part;
  };
  if (groups.experts > 1) {
    // Every depth up to the largest, for the first micro-batch of a step and for the later ones, so
    // that new products are met only with a new largest row count.
    for (int64_t rows_of_tile : {std::min(step, m), m % step}) {
      for (bool adding : {false, true}) {
        if (rows_of_tile == 0) continue;
        prepare(device, tile(rows_of_tile, 0, adding), sums.front().filled_rows / kRowPad,
                [&](int64_t i) { return tile(rows_of_tile, i * kRowPad, adding); });
      }
    }
  }
  parallel_for(stream, groups.experts * tiles, [&](int64_t piece) {
    const Sum& sum = sums[static_cast<size_t>(piece / tiles)];
    const int64_t row = piece % tiles * step;
    run(product(device, tile(std::min(step, m - row), sum.filled_rows, accumulate)),
        static_cast<const std::byte*>(left.data) +
            (sum.first_filled * m + row * sum.filled_rows) * size,
        static_cast<const std::byte*>(right.data) + sum.first_filled * n * size,
        static_cast<std::byte*>(gradient.data) + (sum.expert * m + row) * n * out_size);
  });
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void grouped_weight_gradient(Stream& stream, ExpertRows left, ExpertRows right, RowGroups groups,
                             View gradient, bool accumulate) {
  on_device<cpu::grouped_weight_gradient>(stream, left, right, groups, gradient, accumulate);
}

void packed_weight_gradient(Stream& stream, View left, View right, RowGroups groups, View gradient,
                            bool accumulate) {
  on_device<cpu::packed_weight_gradient>(stream, left, right, groups, gradient, accumulate);
}

bool weight_gradient_reads_rows(DType dtype) { return cpu::own_products(dtype); }

}  // namespace troupe::kernels
