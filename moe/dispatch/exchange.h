// The all-to-all of rows with its time, and the timing of what backward does later.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/base/phase_clock.h"
#include "core/tensor/tensor.h"
#include "parallel/comm/communicator.h"

namespace troupe {

// all_to_all_rows, its time and that of its gradient charged to Phase::comm. A group of one rank
// passes x on.
Tensor exchange_rows(const Tensor& x_RD, std::span<const int64_t> send,
                     std::span<const int64_t> recv, Communicator& group, const std::string& site,
                     PhaseClock* clock);

// The rows of all ranks that hold parts of the same experts put together, and partial results of
// them summed and handed back (parallel/collectives/parts.h), with their time.
Tensor gather_parts(const Tensor& x_RD, std::span<const int64_t> counts, Communicator& group,
                    const std::string& site, PhaseClock* clock);
Tensor sum_parts(const Tensor& x_RD, std::span<const int64_t> counts, Communicator& group,
                 const std::string& site, PhaseClock* clock);

// Charges the backward of every op between `inputs` and `outputs` to a phase. The clock must live
// until backward has run; null does nothing.
void charge_backward(std::span<const Tensor> outputs, std::span<const Tensor> inputs,
                     PhaseClock* clock, Phase phase);

}  // namespace troupe
