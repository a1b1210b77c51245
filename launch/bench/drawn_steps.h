// An engine that is fed with drawn tokens: what benchmarks of whole steps time.
#pragma once

#include <memory>
#include <vector>

#include "launch/config/run_config.h"
#include "models/engine/training_engine.h"

namespace troupe {

class DrawnSteps {
 public:
  // steps: all that will be taken. Collective.
  DrawnSteps(const RunConfig& config, const std::shared_ptr<Communicator>& world,
             const std::shared_ptr<Device>& device, int64_t steps);

  struct Timed {
    StepResult result;
    std::chrono::steady_clock::time_point begin;
    std::chrono::steady_clock::duration spent;
  };
  // The next step. Its tokens are made before the clock starts: a training run reads them from
  // memory. routing: as of made_up_routing; empty: the router decides. Collective.
  Timed take(const std::vector<std::vector<SparseAssignment>>& routing);

  TrainingEngine& engine() { return engine_; }
  int64_t taken() const { return taken_; }

 private:
  const RunConfig& config_;
  Mesh mesh_;
  TrainingEngine engine_;
  int64_t taken_ = 0;
};

}  // namespace troupe
