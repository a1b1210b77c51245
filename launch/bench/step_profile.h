// Where the time of a step goes, operator by operator.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/trace.h"
#include "core/device/device.h"
#include "launch/config/run_config.h"
#include "parallel/comm/communicator.h"

namespace troupe {

// An operator's forward, backward or weight gradient: means over the traced steps.
struct OperatorCost {
  std::string name;  // "linear weight gradient"
  double calls = 0;  // per step
  double ms = 0;     // per step, without the operators that ran inside of it
  double busy = 0;   // share of that in which the threads of the team worked, 0 to 1
};

// The costliest first. Of what ran within the steps of the trace.
std::vector<OperatorCost> operator_costs(const Trace& trace);

struct StepProfile {
  int64_t steps = 0;
  double step_ms = 0;                   // mean of the traced steps
  std::vector<OperatorCost> operators;  // of this rank
  std::string trace;                    // of all ranks, see trace_events.h; on the leader
};

// Traces `steps` steps after `warmup` others. Collective.
StepProfile profile_steps(const RunConfig& config, const std::shared_ptr<Communicator>& world,
                          const std::shared_ptr<Device>& device, int64_t warmup, int64_t steps);

}  // namespace troupe
