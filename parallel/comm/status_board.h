// Where the ranks of a world see what the others do, without their help.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "parallel/comm/rank_status.h"

namespace troupe {

class StatusBoard {
 public:
  virtual ~StatusBoard() = default;
  // Written by this rank.
  virtual StatusSlot& own() = 0;
  // What every rank of the world shows, by rank. Waits at most `limit`, and only for ranks that do
  // not answer. before: an earlier look, or empty; ranks that did not answer then are not waited
  // for again, but whatever they have shown since then counts.
  virtual std::vector<SeenRank> look(std::chrono::milliseconds limit,
                                     const std::vector<SeenRank>& before) = 0;
  // True for the first rank that asks: it reports, the others leave it to that one.
  virtual bool claim_report() = 0;
  // False once another rank was found to have claimed it too and to come before this one.
  virtual bool keeps_report() = 0;
};

}  // namespace troupe
