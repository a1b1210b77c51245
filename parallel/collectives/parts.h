// Rows of every rank put together, and partial results of them summed and handed back, where ranks
// hold different numbers of rows. On the tape, as in collectives.h; exact row counts travel, and
// the sum is in rank order.
#pragma once

#include <span>
#include <string>

#include "core/tensor/tensor.h"
#include "parallel/comm/communicator.h"

namespace troupe {

// [counts[rank], ...] of each rank -> [sum of counts, ...] in rank order, on every rank; gradient:
// reduce_scatter_parts. A group of one rank passes x on.
Tensor all_gather_parts(const Tensor& x, std::span<const int64_t> counts, Communicator& group,
                        const std::string& site);
// [sum of counts, ...] -> this rank's [counts[rank], ...] of the sum over the ranks, bf16 added in
// f32; gradient: all_gather_parts. A group of one rank passes x on.
Tensor reduce_scatter_parts(const Tensor& x, std::span<const int64_t> counts, Communicator& group,
                            const std::string& site);

// Between "every rank holds all rows" and "each rank holds its part", where all ranks hold the
// same:

// This rank's part of an x that all ranks hold alike; the gradient is gathered, so that all ranks
// hold it alike again.
Tensor slice_rows(const Tensor& x, std::span<const int64_t> counts, Communicator& group,
                  const std::string& site);
// All parts, on every rank. The gradient is this rank's part of a gradient that all ranks hold
// alike: use where what follows is done by all ranks alike, or touches each row on the rank that
// gave it.
Tensor all_parts(const Tensor& x, std::span<const int64_t> counts, Communicator& group,
                 const std::string& site);

}  // namespace troupe
