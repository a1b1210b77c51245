// The moves of one chunk's rows, in two halves so that work fits between them. Off the tape: for a
// node that orders them itself (moe/layer/routed_experts.cpp).
#pragma once

#include <string>
#include <vector>

#include "core/base/phase_clock.h"
#include "core/tensor/tensor.h"
#include "moe/dispatch/dispatch_plan.h"

namespace troupe {

// Rows on their way over ep. Keeps the memory at both ends alive.
class MovingRows {
 public:
  MovingRows(Tensor from, Tensor into, Work work)
      : from_(std::move(from)), into_(std::move(into)), work_(std::move(work)) {}
  // Waits, its time charged to Phase::comm.
  Tensor wait(PhaseClock* clock);

 private:
  Tensor from_;
  Tensor into_;
  Work work_;
};

// Names of the exchanges over ep and over etp in counters and messages.
struct MoveSites {
  std::string ep;
  std::string etp;
};

// Leaving rows [S, D] of all chunks -> the chunk's rows are on their way to the experts. Where ep
// is 1 they are there already, and are not copied.
MovingRows start_out(const Tensor& rows_SD, const DispatchChunk& chunk, const ExpertGroups& groups,
                     const MoveSites& sites);
// ... and arrived, those of the whole etp group, in the order of the experts: [computed, D].
Tensor finish_out(MovingRows moving, const DispatchChunk& chunk, const ExpertGroups& groups,
                  const MoveSites& sites, PhaseClock* clock);

// Results on their way home, chunk by chunk: [S, D].
class ReturningRows {
 public:
  // leaving: rows whose results come back, in number, width and type.
  ReturningRows(const Tensor& leaving_SD, const ExpertGroups& groups);
  // Partial results in the order of the experts -> summed over etp and on their way home.
  void add(const Tensor& rows_RD, const DispatchChunk& chunk, const MoveSites& sites,
           PhaseClock* clock);
  // All of them, in the order of the leaving rows.
  Tensor wait(PhaseClock* clock);

 private:
  const ExpertGroups& groups_;
  Tensor home_SD_;
  std::vector<MovingRows> moving_;
};

}  // namespace troupe
