// What a step of training sums over all ranks, by name.
#pragma once

#include <memory>
#include <vector>

#include "parallel/pp/runner.h"

namespace troupe {

struct StepTotals {
  double loss = 0;
  double balance_loss = 0;
  double z_loss = 0;
  std::vector<double> terms;  // of the balance, of all layers
  double stop = 0;            // ranks that were asked to stop
  double ready = 0;           // ranks whose phase of a save is over
  std::vector<PipelineTimes> stages;
};

// Each value becomes its sum over the ranks of `all`, in one message. Collective; terms and stages
// are as many on every rank.
void sum_over(Communicator& all, StepTotals& totals, const std::shared_ptr<Device>& device);

}  // namespace troupe
