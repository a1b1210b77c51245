#include "core/ops/rows.h"

#include <algorithm>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/rows.h"
#include "core/ops/raw.h"

namespace troupe {
namespace {

Tensor indices(int64_t count, const Tensor& like) {
  return Tensor::empty({count}, DType::i32, like.device());
}

// The positions of each key, as lists.
RowLists group(const Tensor& keys, int64_t count) {
  RowLists lists{indices(count + 1, keys), indices(keys.elements(), keys)};
  kernels::group_by_key(keys.stream(), keys.view(), count, lists.offsets.view(), lists.rows.view());
  return lists;
}

void check_rows(const char* op, const Tensor& x, const Tensor& rows) {
  raw::check_floating(op, x);
  require(x.rank() == 2 && rows.rank() == 1 && rows.dtype() == DType::i32 && rows.contiguous(),
          "{} of a {} {} with {} row indices {}", op, name(x.dtype()), x.shape().text(),
          name(rows.dtype()), rows.shape().text());
}

Tensor gather(const Tensor& x, const Tensor& rows) {
  Tensor out = Tensor::empty({rows.elements(), x.dim(1)}, x.dtype(), x.device());
  kernels::gather_rows(out.stream(), x.view(), rows.view(), out.view());
  return out;
}

Tensor combine(const Tensor& x, const RowLists& lists, const Tensor& weights) {
  Tensor out = Tensor::empty({lists.offsets.elements() - 1, x.dim(1)}, x.dtype(), x.device());
  kernels::combine_rows(out.stream(), x.view(), lists.offsets.view(), lists.rows.view(),
                        weights.defined() ? weights.view() : View{}, out.view(), false);
  return out;
}

void check_range(const char* op, const Tensor& rows, int64_t lowest, int64_t count) {
  const auto* data = rows.data<int32_t>();
  for (int64_t i = 0, n = rows.elements(); i < n; ++i) {
    require(data[i] >= lowest && data[i] < count, "{}: row index {} at {}, there are {} rows", op,
            data[i], i, count);
  }
}

// Output row of each entry.
Tensor owners(const RowLists& lists) {
  Tensor out = indices(lists.rows.elements(), lists.rows);
  const auto* begin = lists.offsets.data<int32_t>();
  auto* owner = out.data<int32_t>();
  for (int64_t t = 0, count = lists.offsets.elements() - 1; t < count; ++t)
    std::fill(owner + begin[t], owner + begin[t + 1], static_cast<int32_t>(t));
  return out;
}

// out[i] = from[entries[i]]
template <typename T>
Tensor pick(const Tensor& from, const Tensor& entries) {
  Tensor out = Tensor::empty(entries.shape(), from.dtype(), from.device());
  const auto* entry = entries.data<int32_t>();
  const T* source = from.data<T>();
  std::transform(entry, entry + entries.elements(), out.data<T>(),
                 [source](int32_t e) { return source[e]; });
  return out;
}

// Gradient of combine with respect to x: row r sums weights[e] dy[owner(e)] over its entries e.
Tensor combine_gradient(const Tensor& dy, const RowLists& lists, const Tensor& weights,
                        int64_t count) {
  const RowLists entries = group(lists.rows, count);
  const RowLists by_row{entries.offsets, pick<int32_t>(owners(lists), entries.rows)};
  if (!weights.defined()) return combine(dy, by_row, {});
  return combine(dy, by_row,
                 weights.dtype() == DType::f64 ? pick<double>(weights, entries.rows)
                                               : pick<float>(weights, entries.rows));
}

template <typename F>
void for_index(const Tensor& index, F f) {
  const int64_t k = index.dim(1);
  const auto* at = index.data<int32_t>();
  for (int64_t i = 0; i < index.elements(); ++i) f(i, i / k, at[i]);
}

template <typename T>
Tensor take(const Tensor& x, const Tensor& index) {
  Tensor out = Tensor::empty(index.shape(), x.dtype(), x.device());
  const T* source = x.data<T>();
  T* target = out.data<T>();
  for_index(index, [&](int64_t i, int64_t row, int64_t column) {
    target[i] = source[row * x.dim(1) + column];
  });
  return out;
}

template <typename T>
Tensor take_gradient(const Tensor& dy, const Tensor& index, const Shape& shape) {
  Tensor dx = Tensor::zeros(shape, dy.dtype(), dy.device());
  const T* g = dy.data<T>();
  T* into = dx.data<T>();
  for_index(index, [&](int64_t i, int64_t row, int64_t column) {
    T& target = into[row * shape[1] + column];
    if constexpr (std::is_same_v<T, BF16>) {
      target = BF16(static_cast<float>(target) + static_cast<float>(g[i]));
    } else {
      target += g[i];
    }
  });
  return dx;
}

}  // namespace

Tensor gather_rows(const Tensor& x_TD, const Tensor& rows) {
  const Operator op("gather_rows", x_TD.stream());
  check_rows(op, x_TD, rows);
  const int64_t count = x_TD.dim(0);
  check_range(op, rows, -1, count);
  return record(op, gather(raw::contiguous(x_TD), rows), {x_TD},
                [rows, count](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, combine(raw::contiguous(dy), group(rows, count), {}));
                });
}

Tensor scatter_add_rows(const Tensor& x_RD, const Tensor& rows, int64_t count) {
  const Operator op("scatter_add_rows", x_RD.stream());
  check_rows(op, x_RD, rows);
  require(rows.elements() == x_RD.dim(0), "scatter_add_rows of {} rows with {} indices",
          x_RD.dim(0), rows.elements());
  return record(op, combine(raw::contiguous(x_RD), group(rows, count), {}), {x_RD},
                [rows](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, gather(raw::contiguous(dy), rows));
                });
}

Tensor combine_rows(const Tensor& x_RD, const RowLists& lists, const Tensor& weights) {
  const Operator op("combine_rows", x_RD.stream());
  check_rows(op, x_RD, lists.rows);
  check_rows(op, x_RD, lists.offsets);
  check_range(op, lists.rows, 0, x_RD.dim(0));
  const Tensor x = raw::contiguous(x_RD);
  if (!weights.defined()) {
    return record(op, combine(x, lists, {}), {x_RD},
                  [lists, count = x.dim(0)](const Tensor& dy, InputGradients& inputs) {
                    inputs.add(0, combine_gradient(raw::contiguous(dy), lists, {}, count));
                  });
  }
  require(weights.shape() == lists.rows.shape() && weights.dtype() == wide(x.dtype()),
          "combine_rows of {} rows with {} entries has {} weights {}", name(x.dtype()),
          lists.rows.elements(), name(weights.dtype()), weights.shape().text());
  const Tensor w = raw::contiguous(weights);
  return record(op, combine(x, lists, w), {x_RD, weights},
                [lists, x = Saved(x), w = Saved(w)](const Tensor& dy, InputGradients& inputs) {
                  const Tensor g = raw::contiguous(dy);
                  const Tensor& rows = x.get("combine_rows");
                  const Tensor& factors = w.get("combine_rows");
                  if (inputs.needs(0)) {
                    inputs.add(0, combine_gradient(g, lists, factors, rows.dim(0)));
                  }
                  if (inputs.needs(1)) {
                    Tensor dw = Tensor::empty(factors.shape(), factors.dtype(), g.device());
                    kernels::row_dots(g.stream(), g.view(), owners(lists).view(), rows.view(),
                                      lists.rows.view(), dw.view());
                    inputs.add(1, dw);
                  }
                });
}

Tensor take_along_rows(const Tensor& x, const Tensor& index) {
  const Operator op("take_along_rows", x.stream());
  raw::check_floating(op, x);
  require(x.rank() == 2 && index.rank() == 2 && index.dtype() == DType::i32 && index.contiguous() &&
              index.dim(0) == x.dim(0),
          "take_along_rows of {} with {} indices {}", x.shape().text(), name(index.dtype()),
          index.shape().text());
  check_range(op, raw::with_shape(index, {index.elements()}), 0, x.dim(1));
  const Tensor in = raw::contiguous(x);
  const auto by_type = [](DType dtype, auto f64, auto f32, auto bf16) {
    return dtype == DType::f64 ? f64 : dtype == DType::f32 ? f32 : bf16;
  };
  const auto forward = by_type(x.dtype(), take<double>, take<float>, take<BF16>);
  const auto gradient =
      by_type(x.dtype(), take_gradient<double>, take_gradient<float>, take_gradient<BF16>);
  return record(op, forward(in, index), {x},
                [index, gradient, shape = x.shape()](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, gradient(raw::contiguous(dy), index, shape));
                });
}

}  // namespace troupe
