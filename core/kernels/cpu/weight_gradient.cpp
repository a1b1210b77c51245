#include <algorithm>
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/device/parallel_for.h"
#include "core/kernels/cpu/tiles.h"
#include "core/kernels/cpu/weight_product.h"
#include "core/kernels/grouped_gemm.h"
#include "core/kernels/product.h"
#include "core/tensor/tensor.h"

namespace troupe::kernels {
namespace {

// An expert's rows are one product up to here: each further one passes over the gradient again.
constexpr int64_t kMostRows = 2048;

struct Part {
  int64_t expert = 0;
  int64_t rows = 0;         // summed over, padded if one operand is
  int64_t left = 0;         // first row in left
  int64_t right = 0;        // first row in right
  bool left_short = false;  // `left` ends before `rows` rows: they are copied first
  bool right_short = false;
};

std::vector<Part> parts_of(RowGroups groups, Rows left, int64_t left_total, Rows right,
                           int64_t right_total) {
  const bool padded = left == Rows::padded || right == Rows::padded;
  std::vector<Part> out;
  Part next;
  for (int64_t e = 0; e < groups.experts; ++e) {
    const int64_t rows = groups.rows[e];
    const int64_t filled = padded_rows(rows);
    next.expert = e;
    next.rows = padded ? filled : rows;
    next.left_short = next.left + next.rows > left_total;
    next.right_short = next.right + next.rows > right_total;
    out.push_back(next);
    next.left += left == Rows::padded ? filled : rows;
    next.right += right == Rows::padded ? filled : rows;
  }
  // Largest first, so that the team ends together.
  std::stable_sort(out.begin(), out.end(),
                   [](const Part& a, const Part& b) { return a.rows > b.rows; });
  return out;
}

// The rows of the last experts end with the tensor: a copy with the rows that are missing.
Tensor filled_copy(Stream& stream, const View& v, int64_t first, int64_t rows) {
  const auto size = static_cast<int64_t>(size_of(v.dtype));
  Tensor out = Tensor::empty({rows, v.shape[1]}, v.dtype, stream.device->shared_from_this());
  copy_rows(static_cast<const std::byte*>(v.data) + first * v.strides[0] * size, v.strides[0],
            v.shape[0] - first, rows, v.shape[1], size, out.view().data, v.shape[1]);
  return out;
}

struct Source {
  const std::byte* data = nullptr;  // first row of the part
  int64_t ld = 0;
};

Source source(const View& v, int64_t first, const Tensor& copy) {
  if (copy.defined()) {
    return {static_cast<const std::byte*>(copy.view().data), std::max<int64_t>(v.shape[1], 1)};
  }
  const auto size = static_cast<int64_t>(size_of(v.dtype));
  return {static_cast<const std::byte*>(v.data) + first * v.strides[0] * size,
          std::max<int64_t>({v.strides[0], v.shape[1], 1})};
}

}  // namespace

void grouped_weight_gradient(Stream& stream, View left, Rows left_rows, View right, Rows right_rows,
                             RowGroups groups, View gradient, bool accumulate) {
  require(groups.experts == 1 || left_rows == Rows::padded || right_rows == Rows::padded,
          "the weight gradient of {} experts needs one padded operand", groups.experts);
  const int64_t m = left.shape[1];
  const int64_t n = right.shape[1];
  require(gradient.contiguous() && gradient.elements() == groups.experts * m * n,
          "the weight gradient of {} experts of [{}, {}] goes into {}", groups.experts, m, n,
          gradient.shape.text());
  if (m * n == 0) return;
  const std::vector<Part> parts =
      parts_of(groups, left_rows, left.shape[0], right_rows, right.shape[0]);
  std::vector<Tensor> left_copies(parts.size());
  std::vector<Tensor> right_copies(parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& p = parts[i];
    if (p.left_short) left_copies[i] = filled_copy(stream, left, p.left, p.rows);
    if (p.right_short) right_copies[i] = filled_copy(stream, right, p.right, p.rows);
  }
  const Tiles tiles(m, n, groups.experts);
  const auto size = static_cast<int64_t>(size_of(left.dtype));
  const auto out_size = static_cast<int64_t>(size_of(gradient.dtype));
  Device& device = *stream.device;
  parallel_for(stream, groups.experts * tiles.count(), [&](int64_t piece) {
    const auto index = static_cast<size_t>(piece / tiles.count());
    const Part& p = parts[index];
    const Tile tile = tiles.tile(piece % tiles.count());
    const Source a = source(left, p.left, left_copies[index]);
    const Source b = source(right, p.right, right_copies[index]);
    ProductShape shape;
    shape.m = tile.rows;
    shape.n = tile.columns;
    shape.lda = a.ld;
    shape.ldb = b.ld;
    shape.ldc = n;
    shape.transpose_a = true;
    shape.in = left.dtype;
    shape.out = gradient.dtype;
    shape.accumulate = accumulate;
    auto* c = static_cast<std::byte*>(gradient.data) +
              ((p.expert * m + tile.row) * n + tile.column) * out_size;
    int64_t done = 0;
    do {
      shape.k = std::min(kMostRows, p.rows - done);
      run(product(device, shape), a.data + (done * a.ld + tile.row) * size,
          b.data + (done * b.ld + tile.column) * size, c);
      shape.accumulate = true;
      done += shape.k;
    } while (done < p.rows);
  });
}

}  // namespace troupe::kernels
