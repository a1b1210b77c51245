#include "moe/dispatch/dispatch_plan.h"

#include <algorithm>
#include <numeric>

#include "core/base/error.h"

namespace troupe {
namespace {

View integers(std::vector<int64_t>& values, int64_t columns) {
  return View{values.data(), DType::i64,
              Shape{static_cast<int64_t>(values.size()) / columns, columns}, Shape{columns, 1}};
}

int64_t sum_of(const std::vector<int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

// The slots of each chunk.
std::vector<DispatchChunk> cut_slots(int64_t slots, int64_t chunks) {
  chunks = std::clamp<int64_t>(chunks, 1, std::max<int64_t>(slots, 1));
  std::vector<DispatchChunk> out(static_cast<size_t>(chunks));
  for (int64_t c = 0; c < chunks; ++c) {
    DispatchChunk& chunk = out[static_cast<size_t>(c)];
    chunk.first_slot = slots * c / chunks;
    chunk.slots = slots * (c + 1) / chunks - chunk.first_slot;
  }
  return out;
}

// Where the rows of each (rank, slot) begin when they are sorted by (chunk, rank, slot); also fills
// the chunks' first_row and send_rows.
std::vector<int64_t> row_begins(const std::vector<int64_t>& counts, const Placement& placement,
                                std::vector<DispatchChunk>& chunks) {
  std::vector<int64_t> out(counts.size());
  int64_t row = 0;
  for (DispatchChunk& chunk : chunks) {
    chunk.first_row = row;
    for (int64_t r = 0; r < placement.ranks; ++r) {
      const int64_t before = row;
      for (int64_t s = chunk.first_slot; s < chunk.first_slot + chunk.slots; ++s) {
        const auto bin = static_cast<size_t>(r * placement.slots + s);
        out[bin] = row;
        row += counts[bin];
      }
      chunk.send_rows.push_back(row - before);
    }
  }
  return out;
}

void receive_chunk(const std::vector<int64_t>& arrived, int64_t slots, int etp_ranks, int etp_rank,
                   DispatchChunk& chunk) {
  const auto sources = static_cast<int64_t>(arrived.size()) / slots;
  const int64_t ranks = sources / etp_ranks;
  chunk.recv_rows.assign(static_cast<size_t>(ranks), 0);
  chunk.part_rows.assign(static_cast<size_t>(etp_ranks), 0);
  chunk.expert_rows.assign(static_cast<size_t>(slots), 0);
  // Where the rows of each (source, slot of the chunk) begin among the arrivals.
  std::vector<int64_t> from;
  int64_t row = 0;
  for (int64_t source = 0; source < sources; ++source) {
    for (int64_t s = 0; s < chunk.slots; ++s) {
      const int64_t count = arrived[static_cast<size_t>(source * slots + chunk.first_slot + s)];
      require(count >= 0, "{} rows announced by rank {} of the expert group", count, source);
      from.push_back(row);
      row += count;
      chunk.part_rows[static_cast<size_t>(source / ranks)] += count;
      chunk.expert_rows[static_cast<size_t>(chunk.first_slot + s)] += count;
      if (source / ranks == etp_rank) chunk.recv_rows[static_cast<size_t>(source % ranks)] += count;
    }
  }
  chunk.expert_order.clear();
  chunk.in_order = sources == 1 || chunk.slots == 1;
  if (chunk.in_order) return;
  chunk.expert_order.reserve(static_cast<size_t>(row));
  for (int64_t s = 0; s < chunk.slots; ++s) {
    for (int64_t source = 0; source < sources; ++source) {
      const int64_t count = arrived[static_cast<size_t>(source * slots + chunk.first_slot + s)];
      const int64_t first = from[static_cast<size_t>(source * chunk.slots + s)];
      for (int64_t i = 0; i < count; ++i)
        chunk.expert_order.push_back(static_cast<int32_t>(first + i));
    }
  }
}

}  // namespace

int64_t DispatchChunk::sent() const { return sum_of(send_rows); }
int64_t DispatchChunk::received() const { return sum_of(recv_rows); }
int64_t DispatchChunk::computed() const { return sum_of(part_rows); }

int64_t DispatchPlan::computed() const {
  int64_t rows = 0;
  for (const DispatchChunk& chunk : chunks) rows += chunk.computed();
  return rows;
}

DispatchPlan plan_sends(const SparseAssignment& assignment, const Placement& placement,
                        std::vector<int64_t>& counts, int64_t chunks) {
  require(assignment.experts == placement.experts(), "{} experts assigned, {} placed",
          assignment.experts, placement.experts());
  DispatchPlan plan;
  plan.tokens = assignment.tokens;
  plan.chunks = cut_slots(placement.slots, chunks);
  auto bin_of = [&](int64_t pair) {
    const int32_t expert = assignment.expert[static_cast<size_t>(pair)];
    const ExpertHome home = placement.home[static_cast<size_t>(expert)];
    require(home.rank >= 0, "expert {} is out of reach", expert);
    return static_cast<size_t>(home.rank * placement.slots + home.slot);
  };
  counts.assign(static_cast<size_t>(placement.ranks * placement.slots), 0);
  for (int64_t i = 0; i < assignment.pairs(); ++i) {
    counts[bin_of(i)] += assignment.kept[static_cast<size_t>(i)];
  }
  std::vector<int64_t> next = row_begins(counts, placement, plan.chunks);
  const auto rows = static_cast<size_t>(std::reduce(counts.begin(), counts.end()));
  plan.row_token.resize(rows);
  plan.row_pair.resize(rows);
  plan.token_rows.reserve(rows);
  plan.token_offset.assign(1, 0);
  plan.token_offset.reserve(static_cast<size_t>(assignment.tokens) + 1);
  for (int64_t t = 0; t < assignment.tokens; ++t) {
    for (int64_t i = assignment.token_begin[static_cast<size_t>(t)];
         i < assignment.token_begin[static_cast<size_t>(t) + 1]; ++i) {
      if (assignment.kept[static_cast<size_t>(i)] == 0) continue;
      const auto row = static_cast<size_t>(next[bin_of(i)]++);
      plan.row_token[row] = static_cast<int32_t>(t);
      plan.row_pair[row] = static_cast<int32_t>(i);
      plan.token_rows.push_back(static_cast<int32_t>(row));
    }
    plan.token_offset.push_back(static_cast<int32_t>(plan.token_rows.size()));
  }
  return plan;
}

void plan_receives(const std::vector<int64_t>& arrived, int64_t slots, int etp_ranks, int etp_rank,
                   DispatchPlan& plan) {
  for (DispatchChunk& chunk : plan.chunks)
    receive_chunk(arrived, slots, etp_ranks, etp_rank, chunk);
}

DispatchPlan make_plan(const SparseAssignment& assignment, const Placement& placement,
                       const ExpertGroups& groups, const std::string& site, int64_t chunks,
                       PhaseClock* clock) {
  Communicator& ep = groups.ep;
  Communicator& etp = groups.etp;
  require(placement.ranks == ep.size(), "experts placed on {} ranks, the group {} has {}",
          placement.ranks, ep.name(), ep.size());
  std::vector<int64_t> counts;
  DispatchPlan plan = plan_sends(assignment, placement, counts, chunks);
  std::vector<int64_t> arrived(counts.size());
  const std::vector<int64_t> one_each(static_cast<size_t>(ep.size()), 1);
  {
    PhaseScope scope(clock, Phase::comm);
    ep.all_to_all(integers(counts, placement.slots), one_each, integers(arrived, placement.slots),
                  one_each, site)
        .finish();
    if (etp.size() > 1) {
      std::vector<int64_t> of_all(arrived.size() * static_cast<size_t>(etp.size()));
      etp.all_gather(integers(arrived, 1), integers(of_all, 1), site + " of parts").finish();
      arrived = std::move(of_all);
    }
  }
  plan_receives(arrived, placement.slots, etp.size(), etp.rank(), plan);
  return plan;
}

}  // namespace troupe
