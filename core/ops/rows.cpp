#include "core/ops/rows.h"

#include <utility>

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
  kernels::check_rows(rows.stream(), op, rows.view(), lowest, count);
}

// Output row of each entry.
Tensor owners(const RowLists& lists) {
  Tensor out = indices(lists.rows.elements(), lists.rows);
  kernels::row_owners(out.stream(), lists.offsets.view(), out.view());
  return out;
}

// out[i] = from[entries[i]]
Tensor pick(const Tensor& from, const Tensor& entries) {
  Tensor out = Tensor::empty(entries.shape(), from.dtype(), from.device());
  kernels::take_entries(out.stream(), from.view(), entries.view(), out.view());
  return out;
}

// Gradient of combine with respect to x: row r sums weights[e] dy[owner(e)] over its entries e.
Tensor combine_gradient(const Tensor& dy, const RowLists& lists, const Tensor& weights,
                        int64_t count) {
  const RowLists entries = group(lists.rows, count);
  const RowLists by_row{entries.offsets, pick(owners(lists), entries.rows)};
  return combine(dy, by_row, weights.defined() ? pick(weights, entries.rows) : Tensor());
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
  Tensor out = Tensor::empty(index.shape(), x.dtype(), x.device());
  kernels::take_along_rows(x.stream(), in.view(), index.view(), out.view());
  return record(op, std::move(out), {x},
                [index, shape = x.shape()](const Tensor& dy, InputGradients& inputs) {
                  Tensor dx = Tensor::zeros(shape, dy.dtype(), dy.device());
                  kernels::take_along_rows_gradient(dy.stream(), raw::contiguous(dy).view(),
                                                    index.view(), dx.view());
                  inputs.add(0, std::move(dx));
                });
}

}  // namespace troupe
