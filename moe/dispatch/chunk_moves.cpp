#include "moe/dispatch/chunk_moves.h"

#include "moe/dispatch/exchange.h"
#include "moe/dispatch/row_order.h"

namespace troupe {
namespace {

Tensor rows_of_chunk(const Tensor& rows_SD, const DispatchChunk& chunk) {
  const int64_t columns = rows_SD.dim(1);
  return rows_SD.strided({chunk.sent(), columns}, {columns, 1}, chunk.first_row * columns);
}

}  // namespace

Tensor MovingRows::wait(PhaseClock* clock) {
  PhaseScope scope(clock, Phase::comm);
  work_.wait(into_.stream());
  from_ = {};
  return std::move(into_);
}

MovingRows start_out(const Tensor& rows_SD, const DispatchChunk& chunk, const ExpertGroups& groups,
                     const MoveSites& sites) {
  Tensor from = rows_of_chunk(rows_SD, chunk);
  Tensor into = Tensor::empty({chunk.received(), rows_SD.dim(1)}, rows_SD.dtype(), rows_SD.device(),
                              MemoryKind::communication);
  Work work =
      groups.ep.all_to_all(from.view(), chunk.send_rows, into.view(), chunk.recv_rows, sites.ep);
  return {std::move(from), std::move(into), std::move(work)};
}

Tensor finish_out(MovingRows moving, const DispatchChunk& chunk, const ExpertGroups& groups,
                  const MoveSites& sites, PhaseClock* clock) {
  const Tensor arrived =
      gather_parts(moving.wait(clock), chunk.part_rows, groups.etp, sites.etp, clock);
  PhaseScope scope(clock, Phase::dispatch);
  return to_expert_order(arrived, chunk);
}

MovingRows start_back(const Tensor& rows_RD, const DispatchChunk& chunk, const ExpertGroups& groups,
                      const MoveSites& sites, const Tensor& home_SD, PhaseClock* clock) {
  PhaseScope scope(clock, Phase::dispatch);
  Tensor from =
      sum_parts(from_expert_order(rows_RD, chunk), chunk.part_rows, groups.etp, sites.etp, clock);
  Tensor into = rows_of_chunk(home_SD, chunk);
  Work work =
      groups.ep.all_to_all(from.view(), chunk.recv_rows, into.view(), chunk.send_rows, sites.ep);
  return {std::move(from), std::move(into), std::move(work)};
}

}  // namespace troupe
