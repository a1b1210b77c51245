#include "moe/dispatch/row_order.h"

#include "core/autograd/tape.h"
#include "core/device/operator.h"
#include "core/ops/view.h"

namespace troupe {

Tensor index_tensor(const std::vector<int32_t>& index, const std::shared_ptr<Device>& device) {
  return Tensor::from(std::span<const int32_t>(index), Shape{static_cast<int64_t>(index.size())},
                      device);
}

Tensor to_expert_order(const Tensor& rows, const DispatchChunk& chunk) {
  return chunk.in_order ? rows : gather_rows(rows, index_tensor(chunk.expert_order, rows.device()));
}

Tensor from_expert_order(const Tensor& rows, const DispatchChunk& chunk) {
  if (chunk.in_order) return rows;
  std::vector<int32_t> inverse(chunk.expert_order.size());
  for (size_t i = 0; i < inverse.size(); ++i)
    inverse[static_cast<size_t>(chunk.expert_order[i])] = static_cast<int32_t>(i);
  return gather_rows(rows, index_tensor(inverse, rows.device()));
}

Tensor spread_rows(const Tensor& x_TD, const Tensor& rows, const RowLists& uses) {
  const Operator op("spread_rows", x_TD.stream());
  return record(op, gather_rows(x_TD.detach(), rows), {x_TD},
                [uses](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, combine_rows(contiguous(dy), uses));
                });
}

Tensor collect_rows(const Tensor& rows_RD, const RowLists& lists, const Tensor& owner) {
  const Operator op("collect_rows", rows_RD.stream());
  return record(op, combine_rows(rows_RD.detach(), lists), {rows_RD},
                [owner](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, gather_rows(contiguous(dy), owner));
                });
}

}  // namespace troupe
