// Runs a schedule on paper: blocking receives, buffered sends, messages in the order of sending.
#pragma once

#include <span>
#include <vector>

#include "parallel/pp/pipeline_schedule.h"

namespace troupe {

struct SimulatedRun {
  double seconds = 0;              // until the last stage is done
  std::vector<double> busy;        // seconds of computing, per stage
  std::vector<int64_t> in_flight;  // the most chunks whose forward waits for a gradient, per stage
  double bubble() const;           // share of the time of all stages in which they wait
};

// times: one for each place (chunk c of stage s at c * stages + s). Messages take no time. Throws
// Error(internal) when the schedule cannot run: every stage waits, or a message is not the one that
// the receiver expects.
SimulatedRun simulate(const Pipeline& pipeline, std::span<const ChunkTime> times);

}  // namespace troupe
