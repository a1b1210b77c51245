// What a training engine is made from, as plain data. Its parts are those that a configuration has,
// so that nothing is copied value by value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/field.h"
#include "core/optim/parameter_groups.h"
#include "models/model/model_config.h"

namespace troupe {

struct OptimizerConfig {
  std::string optimizer = "adamw";
  Options optimizer_options;  // of the optimizer's field list
  double lr = 1e-3;
  double clip = 1.0;  // 0 = off
  std::vector<ParameterGroup> parameter_groups;
};

struct ScheduleConfig {
  std::string schedule = "constant";
  Options schedule_options;  // of the schedule's field list
};

struct TrainConfig {
  int64_t steps = 1;         // of the whole run: what the schedule ends at
  int64_t global_batch = 1;  // sequences
  int64_t micro_batch = 1;   // sequences of one forward on one data rank
};

struct EngineConfig : OptimizerConfig, ScheduleConfig, TrainConfig {
  ModelConfig model;
  uint64_t seed = 0;
};

}  // namespace troupe
