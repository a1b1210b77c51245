#include "moe/dispatch/dispatch_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/base/error.h"
#include "core/base/random.h"

namespace troupe {
namespace {

SparseAssignment random_assignment(uint64_t key, int64_t tokens, int64_t experts) {
  const Random random(key, "plan");
  SparseAssignment out = empty_assignment(experts);
  uint64_t draw = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<int32_t> chosen;
    for (int32_t e = 0; e < experts; ++e) {
      if (random.below(draw++, 3) == 0) chosen.push_back(e);
    }
    std::reverse(chosen.begin(), chosen.end());
    out.append(chosen);
  }
  for (uint8_t& kept : out.kept) kept = random.below(draw++, 5) != 0;
  return out;
}

using Row = std::pair<int, int>;  // source rank, token

struct Ranks {
  int ep = 1;
  int etp = 1;
  int64_t chunks = 1;
  int count() const { return ep * etp; }
};

// Plays the exchange of all ranks in this thread. Rank r has ep coordinate r / etp.
struct Played {
  std::vector<DispatchPlan> plans;
  // By rank and slot: the rows that it computes, in order.
  std::vector<std::vector<std::vector<Row>>> rows;
};

// What rank `to` gets of a chunk from rank `from`.
std::vector<Row> sent_rows(const DispatchPlan& plan, size_t chunk, int from, int to) {
  const DispatchChunk& of = plan.chunks[chunk];
  int64_t begin = of.first_row;
  for (int r = 0; r < to; ++r) begin += of.send_rows[static_cast<size_t>(r)];
  std::vector<Row> out;
  for (int64_t i = 0; i < of.send_rows[static_cast<size_t>(to)]; ++i)
    out.emplace_back(from, plan.row_token[static_cast<size_t>(begin + i)]);
  return out;
}

Played play(const std::vector<SparseAssignment>& assignments, const Placement& placement,
            const Ranks& ranks) {
  const auto slots = static_cast<int64_t>(placement.slots);
  Played out;
  std::vector<std::vector<int64_t>> counts(assignments.size());
  for (size_t r = 0; r < assignments.size(); ++r)
    out.plans.push_back(plan_sends(assignments[r], placement, counts[r], ranks.chunks));
  out.rows.resize(assignments.size(), std::vector<std::vector<Row>>(placement.slots));
  for (int to = 0; to < ranks.count(); ++to) {
    const int ep = to / ranks.etp;
    std::vector<int64_t> arrived;
    for (int part = 0; part < ranks.etp; ++part) {
      for (int from = part; from < ranks.count(); from += ranks.etp) {
        const auto first = counts[static_cast<size_t>(from)].begin() + ep * slots;
        arrived.insert(arrived.end(), first, first + slots);
      }
    }
    DispatchPlan& plan = out.plans[static_cast<size_t>(to)];
    plan_receives(arrived, slots, ranks.etp, to % ranks.etp, plan);
    for (size_t c = 0; c < plan.chunks.size(); ++c) {
      const DispatchChunk& chunk = plan.chunks[c];
      std::vector<Row> arrivals;
      for (int part = 0; part < ranks.etp; ++part) {
        int64_t own = 0;
        for (int from = part; from < ranks.count(); from += ranks.etp) {
          const auto rows = sent_rows(out.plans[static_cast<size_t>(from)], c, from, ep);
          arrivals.insert(arrivals.end(), rows.begin(), rows.end());
          own += static_cast<int64_t>(rows.size());
        }
        EXPECT_EQ(chunk.part_rows[static_cast<size_t>(part)], own);
        if (part == to % ranks.etp) {
          EXPECT_EQ(chunk.received(), own);
        }
      }
      EXPECT_EQ(chunk.computed(), static_cast<int64_t>(arrivals.size()));
      size_t next = 0;
      for (size_t slot = 0; slot < chunk.expert_rows.size(); ++slot) {
        for (int64_t i = 0; i < chunk.expert_rows[slot]; ++i, ++next) {
          const auto& order = chunk.expert_order;
          const size_t at = chunk.in_order ? next : static_cast<size_t>(order[next]);
          out.rows[static_cast<size_t>(to)][slot].push_back(arrivals[at]);
        }
      }
      EXPECT_EQ(next, arrivals.size());
    }
  }
  return out;
}

// Every kept pair is computed once by each rank that holds a part of its expert, sorted by source
// rank (etp coordinate first) and token, whatever the chunks.
void check_all_arrive(const std::vector<SparseAssignment>& assignments, int64_t experts,
                      const Ranks& ranks) {
  const Placement placement = Placement::identity(experts, ranks.ep);
  const Played played = play(assignments, placement, ranks);
  for (int64_t e = 0; e < experts; ++e) {
    std::vector<Row> wanted;
    for (int part = 0; part < ranks.etp; ++part) {
      for (int r = part; r < ranks.count(); r += ranks.etp) {
        const SparseAssignment& a = assignments[static_cast<size_t>(r)];
        const std::vector<int32_t> tokens = a.pair_tokens();
        for (size_t i = 0; i < tokens.size(); ++i) {
          if (a.kept[i] != 0 && a.expert[i] == e) wanted.emplace_back(r, tokens[i]);
        }
      }
    }
    const ExpertHome home = placement.home[static_cast<size_t>(e)];
    for (int part = 0; part < ranks.etp; ++part) {
      const auto rank = static_cast<size_t>(home.rank * ranks.etp + part);
      EXPECT_EQ(played.rows[rank][static_cast<size_t>(home.slot)], wanted);
    }
  }
}

TEST(DispatchPlan, EveryKeptPairArrivesOnceAtItsExpert) {
  for (uint64_t key = 0; key < 40; ++key) {
    for (const Ranks& ranks : {Ranks{1, 1}, Ranks{2, 1}, Ranks{3, 1}, Ranks{6, 1}, Ranks{1, 3},
                               Ranks{3, 2}, Ranks{2, 2, 3}, Ranks{1, 1, 4}, Ranks{3, 1, 9}}) {
      std::vector<SparseAssignment> assignments;
      for (int r = 0; r < ranks.count(); ++r) {
        const Random random(key, "tokens");
        assignments.push_back(
            random_assignment(key * 10 + static_cast<uint64_t>(r),
                              static_cast<int64_t>(random.below(static_cast<uint64_t>(r), 7)), 6));
      }
      check_all_arrive(assignments, 6, ranks);
    }
  }
}

TEST(DispatchPlan, OneExpertTakesEverythingOrNothing) {
  for (const int32_t expert : {0, 3, 5}) {
    std::vector<SparseAssignment> assignments(3, empty_assignment(6));
    for (auto& a : assignments) {
      for (int t = 0; t < 5; ++t) a.append(std::span(&expert, 1));
    }
    check_all_arrive(assignments, 6, {3, 1});
  }
  check_all_arrive(std::vector<SparseAssignment>(2, empty_assignment(4)), 4, {2, 1});
}

// The rows of a token are listed in the order of its choices, whatever ranks they come from.
TEST(DispatchPlan, CombineFollowsTheChoices) {
  SparseAssignment a = empty_assignment(4);
  a.append(std::vector<int32_t>{3, 0, 2});
  a.append(std::vector<int32_t>{});
  a.append(std::vector<int32_t>{0, 3});
  a.kept[2] = 0;
  std::vector<int64_t> counts;
  const DispatchPlan plan = plan_sends(a, Placement::identity(4, 2), counts);
  EXPECT_EQ(counts, (std::vector<int64_t>{2, 0, 0, 2}));
  EXPECT_EQ(plan.chunks[0].send_rows, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(plan.row_token, (std::vector<int32_t>{0, 2, 0, 2}));
  EXPECT_EQ(plan.token_offset, (std::vector<int32_t>{0, 2, 2, 4}));
  EXPECT_EQ(plan.token_rows, (std::vector<int32_t>{2, 0, 1, 3}));
}

// Two chunks: the first experts of all ranks leave before the second ones.
TEST(DispatchPlan, ChunksCutTheLocalExperts) {
  SparseAssignment a = empty_assignment(4);
  a.append(std::vector<int32_t>{3, 0, 2});
  a.append(std::vector<int32_t>{1, 2});
  std::vector<int64_t> counts;
  const DispatchPlan plan = plan_sends(a, Placement::identity(4, 2), counts, 2);
  EXPECT_EQ(counts, (std::vector<int64_t>{1, 1, 2, 1}));
  ASSERT_EQ(plan.chunks.size(), 2U);
  EXPECT_EQ(plan.chunks[0].send_rows, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(plan.chunks[1].send_rows, (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(plan.chunks[1].first_row, 3);
  EXPECT_EQ(plan.row_token, (std::vector<int32_t>{0, 0, 1, 1, 0}));
  EXPECT_EQ(plan.token_rows, (std::vector<int32_t>{4, 0, 1, 3, 2}));
}

TEST(Placement, NamesTheLegalNumbersOfRanks) {
  try {
    Placement::identity(12, 5);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_NE(std::string(error.what()).find("1, 2, 3, 4, 6, 12"), std::string::npos);
  }
}

}  // namespace
}  // namespace troupe
