// Who keeps the others waiting, from what the ranks show of themselves.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "parallel/comm/rank_status.h"

namespace troupe {

// What the rank that looks knows beside `seen`.
struct Waiting {
  int rank = 0;              // it, a world rank
  OperationNote note;        // what it waits in
  std::vector<int> peers;    // for these world ranks
  std::vector<int> group;    // world ranks of the group of the operation
  std::string last_matched;  // the last operation of the group that was finished
  std::chrono::milliseconds timeout{};
  std::string timeout_name = "the timeout";
};

// The one report: the rank that does not answer, or is furthest behind, and what is awaited of it.
std::string explain_late(const Waiting& waiting, const std::vector<SeenRank>& seen);

// Ranks that wait for each other in a circle, each for an operation that the next one has not
// begun, in the order of the circle: none of them can go on. A chain that leads to a rank which has
// ended cannot go on either, and is returned as well. The search starts at rank `start` and follows
// what it waits for. before: an earlier look; only ranks that have not moved since count. Empty if
// nothing is found.
std::vector<int> waiting_circle(int start, const std::vector<SeenRank>& before,
                                const std::vector<SeenRank>& seen);
std::string explain_circle(const std::vector<int>& circle, const std::vector<SeenRank>& seen);

}  // namespace troupe
