#include "launch/config/run_cost.h"

namespace troupe {

CostInputs cost_inputs(const RunConfig& config) {
  CostInputs inputs{config.model, config.parallel, config.optimizer.optimizer,
                    config.optimizer.optimizer_options};
  inputs.global_batch = config.train.global_batch;
  inputs.micro_batch = config.train.micro_batch;
  inputs.copies_state = config.checkpoint.async && config.checkpoint.every > 0 &&
                        config.checkpoint.every < config.train.steps;
  return inputs;
}

}  // namespace troupe
