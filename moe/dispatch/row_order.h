// Index lists of rows as tensors.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/ops/rows.h"
#include "core/tensor/tensor.h"
#include "moe/dispatch/dispatch_plan.h"

namespace troupe {

Tensor index_tensor(const std::vector<int32_t>& index, const std::shared_ptr<Device>& device);

// Arrivals of a chunk in the order of the experts, and the way back.
Tensor to_expert_order(const Tensor& rows, const DispatchChunk& chunk);
Tensor from_expert_order(const Tensor& rows, const DispatchChunk& chunk);

// out[i] = x[rows[i]], where `uses` lists for each row of x where it went. The gradient of a row
// sums its uses in the order of the list.
Tensor spread_rows(const Tensor& x_TD, const Tensor& rows, const RowLists& uses);

// Its mirror: out[t] sums the rows in lists of t, in their order; each row is in one list, that of
// its `owner`.
Tensor collect_rows(const Tensor& rows_RD, const RowLists& lists, const Tensor& owner);

}  // namespace troupe
