#include "launch/config/engine_config.h"

namespace troupe {

EngineConfig engine_config(const RunConfig& config) {
  EngineConfig engine;
  engine.model = config.model;
  engine.seed = config.run.seed;
  engine.optimizer = config.optimizer.type;
  engine.optimizer_options = config.optimizer.options;
  engine.lr = config.optimizer.lr;
  engine.clip = config.optimizer.clip;
  engine.parameter_groups = config.optimizer.groups;
  engine.schedule = config.schedule.type;
  engine.schedule_options = config.schedule.options;
  engine.steps = config.train.steps;
  engine.global_batch = config.train.global_batch;
  engine.micro_batch = config.train.micro_batch;
  return engine;
}

}  // namespace troupe
