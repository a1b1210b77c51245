#include "moe/dispatch/dispatch_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/base/error.h"
#include "core/base/random.h"

namespace troupe {
namespace {

Assignment random_assignment(uint64_t key, int64_t tokens, int64_t experts) {
  const Random random(key, "plan");
  Assignment out = empty_assignment(experts);
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

// Plays the exchange of all ranks in this thread: which (rank, token) each expert row came from.
struct Played {
  std::vector<DispatchPlan> plans;
  std::vector<std::vector<std::pair<int, int>>>
      rows;  // by rank: (source rank, token) in expert order
};

Played play(const std::vector<Assignment>& assignments, const Placement& placement) {
  const auto ranks = assignments.size();
  const auto slots = static_cast<size_t>(placement.slots);
  Played out;
  std::vector<std::vector<int64_t>> counts(ranks);
  for (size_t r = 0; r < ranks; ++r)
    out.plans.push_back(plan_sends(assignments[r], placement, counts[r]));
  for (size_t to = 0; to < ranks; ++to) {
    std::vector<int64_t> arrived;
    std::vector<std::pair<int, int>> arrivals;
    for (size_t from = 0; from < ranks; ++from) {
      const auto first = counts[from].begin() + static_cast<int64_t>(to * slots);
      arrived.insert(arrived.end(), first, first + static_cast<int64_t>(slots));
      const DispatchPlan& plan = out.plans[from];
      const int64_t begin =
          std::reduce(plan.send_rows.begin(), plan.send_rows.begin() + static_cast<int64_t>(to));
      for (int64_t i = 0; i < plan.send_rows[to]; ++i)
        arrivals.emplace_back(from, plan.row_token[static_cast<size_t>(begin + i)]);
    }
    plan_receives(arrived, placement.slots, out.plans[to]);
    EXPECT_EQ(out.plans[to].received(), static_cast<int64_t>(arrivals.size()));
    const auto& order = out.plans[to].expert_order;
    std::vector<std::pair<int, int>> rows;
    for (size_t i = 0; i < arrivals.size(); ++i)
      rows.push_back(arrivals[order.empty() ? i : static_cast<size_t>(order[i])]);
    out.rows.push_back(rows);
  }
  return out;
}

// Every kept pair arrives once, at its expert, sorted by source rank and token.
void check_all_arrive(const std::vector<Assignment>& assignments, int64_t experts) {
  const auto ranks = static_cast<int64_t>(assignments.size());
  const Placement placement = Placement::identity(experts, ranks);
  const Played played = play(assignments, placement);
  for (int64_t e = 0; e < experts; ++e) {
    std::vector<std::pair<int, int>> wanted;
    for (int r = 0; r < ranks; ++r) {
      const Assignment& a = assignments[static_cast<size_t>(r)];
      const std::vector<int32_t> tokens = a.pair_tokens();
      for (size_t i = 0; i < tokens.size(); ++i) {
        if (a.kept[i] != 0 && a.expert[i] == e) wanted.emplace_back(r, tokens[i]);
      }
    }
    const ExpertHome home = placement.home[static_cast<size_t>(e)];
    const DispatchPlan& plan = played.plans[static_cast<size_t>(home.rank)];
    const int64_t begin =
        std::reduce(plan.expert_rows.begin(), plan.expert_rows.begin() + home.slot);
    const auto& rows = played.rows[static_cast<size_t>(home.rank)];
    ASSERT_EQ(plan.expert_rows[static_cast<size_t>(home.slot)],
              static_cast<int64_t>(wanted.size()));
    for (size_t i = 0; i < wanted.size(); ++i)
      EXPECT_EQ(rows[static_cast<size_t>(begin) + i], wanted[i]);
  }
}

TEST(DispatchPlan, EveryKeptPairArrivesOnceAtItsExpert) {
  for (uint64_t key = 0; key < 40; ++key) {
    for (const int ranks : {1, 2, 3, 6}) {
      std::vector<Assignment> assignments;
      for (int r = 0; r < ranks; ++r) {
        const Random random(key, "tokens");
        assignments.push_back(
            random_assignment(key * 10 + static_cast<uint64_t>(r),
                              static_cast<int64_t>(random.below(static_cast<uint64_t>(r), 7)), 6));
      }
      check_all_arrive(assignments, 6);
    }
  }
}

TEST(DispatchPlan, OneExpertTakesEverythingOrNothing) {
  for (const int32_t expert : {0, 3, 5}) {
    std::vector<Assignment> assignments(3, empty_assignment(6));
    for (auto& a : assignments) {
      for (int t = 0; t < 5; ++t) a.append(std::span(&expert, 1));
    }
    check_all_arrive(assignments, 6);
  }
  check_all_arrive(std::vector<Assignment>(2, empty_assignment(4)), 4);
}

// The rows of a token are listed in the order of its choices, whatever ranks they come from.
TEST(DispatchPlan, CombineFollowsTheChoices) {
  Assignment a = empty_assignment(4);
  a.append(std::vector<int32_t>{3, 0, 2});
  a.append(std::vector<int32_t>{});
  a.append(std::vector<int32_t>{0, 3});
  a.kept[2] = 0;
  std::vector<int64_t> counts;
  const DispatchPlan plan = plan_sends(a, Placement::identity(4, 2), counts);
  EXPECT_EQ(counts, (std::vector<int64_t>{2, 0, 0, 2}));
  EXPECT_EQ(plan.send_rows, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(plan.row_token, (std::vector<int32_t>{0, 2, 0, 2}));
  EXPECT_EQ(plan.token_offset, (std::vector<int32_t>{0, 2, 2, 4}));
  EXPECT_EQ(plan.token_rows, (std::vector<int32_t>{2, 0, 1, 3}));
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
