// Collectives on the tape: each one's gradient is its mirror. All act on dim 0, on contiguous
// tensors, and wait before they return. `group` must outlive the tape.
//
// Every rank of the group must come through backward, or none: a rank whose input needs no gradient
// while its peers' do would leave them waiting.
#pragma once

#include <span>
#include <string>

#include "core/tensor/tensor.h"
#include "parallel/comm/communicator.h"

namespace troupe {

// Rows move: send_rows[r] of x go to rank r, recv_rows[r] come from it, both in rank order. The
// gradient goes the same way back.
Tensor all_to_all_rows(const Tensor& x, std::span<const int64_t> send_rows,
                       std::span<const int64_t> recv_rows, Communicator& group,
                       const std::string& site);

// The sum over the ranks, on every rank. The gradient of each rank's x is the gradient of the sum
// as it is: use where what follows is done by all ranks alike.
Tensor sum_over_group(const Tensor& x, Communicator& group, const std::string& site);
// x as it is; its gradient is summed over the ranks: use where what follows is shared out.
Tensor copy_to_group(const Tensor& x, Communicator& group, const std::string& site);

// [n, ...] of each rank -> [size * n, ...] in rank order; gradient: reduce_scatter_rows.
Tensor all_gather_rows(const Tensor& x, Communicator& group, const std::string& site);
// [size * n, ...] -> this rank's [n, ...] of the sum over the ranks; gradient: all_gather_rows.
Tensor reduce_scatter_rows(const Tensor& x, Communicator& group, const std::string& site);

}  // namespace troupe
