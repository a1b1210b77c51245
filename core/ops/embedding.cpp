#include "core/ops/embedding.h"

#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/rows.h"
#include "core/ops/raw.h"

namespace troupe {
namespace {

// Ids as rows of this rank's part of the table, -1 where the id is in another part.
Tensor rows_in_part(const Tensor& ids, const Parameter& table) {
  const int64_t count = table.value().dim(0);
  if (count == table.layout().global[0]) return ids;
  const auto& parts = table.slice().parts;
  const int64_t first = parts.empty() ? 0 : parts.front().global.offset[0];
  const Tensor out = Tensor::empty(ids.shape(), DType::i32, ids.device());
  kernels::rows_in_part(out.stream(), ids.view(), first, count, out.view());
  return out;
}

}  // namespace

Tensor embedding(Parameter& table, const Tensor& ids) {
  const Operator op("embedding", ids.stream());
  require(table.value().rank() == 2 && (ids.dtype() == DType::i32 || ids.dtype() == DType::i64),
          "embedding in {} of shape {} with {} ids", table.name(), table.value().shape().text(),
          name(ids.dtype()));
  const Tensor given = raw::with_shape(raw::contiguous(ids), {ids.elements()});
  kernels::check_ids(given.stream(), given.view(), table.layout().global[0], table.name());
  const Tensor flat = rows_in_part(given, table);
  table.use();
  const int64_t dim = table.value().dim(1);
  Tensor out = Tensor::empty({ids.elements(), dim}, table.compute(), table.value().device());
  kernels::gather_rows(out.stream(), table.value().view(), flat.view(), out.view());
  Shape shape = ids.shape();
  shape.append(dim);
  return record(
      op, raw::with_shape(out, shape), {}, [](const Tensor&, InputGradients&) {},
      [&table, flat, dim](const Tensor& dy) {
        const Tensor g = raw::with_shape(raw::contiguous(dy), {flat.elements(), dim});
        const int64_t vocabulary = table.value().dim(0);
        const Tensor offsets = Tensor::empty({vocabulary + 1}, DType::i32, g.device());
        const Tensor order = Tensor::empty({flat.elements()}, DType::i32, g.device());
        kernels::group_by_key(g.stream(), flat.view(), vocabulary, offsets.view(), order.view());
        bool fresh = false;
        const Tensor& gradient = table.begin_accumulate(fresh);
        kernels::combine_rows(g.stream(), g.view(), offsets.view(), order.view(), View{},
                              gradient.view(), !fresh);
        table.end_accumulate();
      });
}

}  // namespace troupe
