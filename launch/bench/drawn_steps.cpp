#include "launch/bench/drawn_steps.h"
#include "launch/config/engine_config.h"

#include "launch/training/trainer.h"
#include "models/engine/drawn_batch.h"

namespace troupe {
namespace {

EngineConfig setup_of(const RunConfig& config, int64_t steps) {
  EngineConfig setup = engine_config(config);
  setup.steps = steps;
  return setup;
}

}  // namespace

DrawnSteps::DrawnSteps(const RunConfig& config, const std::shared_ptr<Communicator>& world,
                       const std::shared_ptr<Device>& device, int64_t steps)
    : config_(config),
      mesh_(config.parallel, world),
      engine_(setup_of(config, steps), mesh_, device) {}

DrawnSteps::Timed DrawnSteps::take(const std::vector<std::vector<SparseAssignment>>& routing) {
  std::vector<TokenBatch> batches;
  for (int64_t micro = 0; micro < engine_.micro_batches(); ++micro) {
    batches.push_back(drawn_batch(config_.model, taken_, config_.train.global_batch,
                                  micro_batch_samples(engine_.config(), mesh_.size(Axis::dp),
                                                      mesh_.coordinate(Axis::dp), micro)));
  }
  Timed out;
  out.begin = std::chrono::steady_clock::now();
  out.result = engine_.step(
      taken_, [&](int64_t micro) { return batches[static_cast<size_t>(micro)]; }, {},
      routing.empty() ? nullptr : &routing);
  out.spent = std::chrono::steady_clock::now() - out.begin;
  ++taken_;
  return out;
}

}  // namespace troupe
