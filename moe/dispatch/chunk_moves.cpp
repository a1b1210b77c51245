#include "moe/dispatch/chunk_moves.h"

#include "core/base/error.h"
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
  if (groups.ep.size() == 1) return {from, from, Work()};
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

ReturningRows::ReturningRows(const Tensor& leaving_SD, const ExpertGroups& groups)
    : groups_(groups) {
  if (groups.ep.size() == 1) return;
  home_SD_ = Tensor::empty(leaving_SD.shape(), leaving_SD.dtype(), leaving_SD.device(),
                           MemoryKind::communication);
}

void ReturningRows::add(const Tensor& rows_RD, const DispatchChunk& chunk, const MoveSites& sites,
                        PhaseClock* clock) {
  PhaseScope scope(clock, Phase::dispatch);
  Tensor from =
      sum_parts(from_expert_order(rows_RD, chunk), chunk.part_rows, groups_.etp, sites.etp, clock);
  if (groups_.ep.size() == 1) {
    require(!home_SD_.defined(), "{}: chunks of rows that do not travel", sites.ep);
    home_SD_ = std::move(from);
    return;
  }
  Tensor into = rows_of_chunk(home_SD_, chunk);
  Work work =
      groups_.ep.all_to_all(from.view(), chunk.recv_rows, into.view(), chunk.send_rows, sites.ep);
  moving_.emplace_back(std::move(from), std::move(into), std::move(work));
}

Tensor ReturningRows::wait(PhaseClock* clock) {
  for (MovingRows& rows : moving_) rows.wait(clock);
  return std::move(home_SD_);
}

}  // namespace troupe
