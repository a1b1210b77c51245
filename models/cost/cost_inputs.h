// What the cost of a run depends on.
#pragma once

#include <cstdint>
#include <string>

#include "core/base/field.h"
#include "models/model/model_config.h"
#include "parallel/mesh/parallelism.h"

namespace troupe {

struct CostInputs {
  ModelConfig model;  // with its vocabulary
  Parallelism parallel;
  std::string optimizer = "adamw";
  Options optimizer_options;  // of the optimizer's field list
  int64_t global_batch = 1;   // sequences of a step
  int64_t micro_batch = 1;    // sequences of one forward on one data rank
  bool copies_state = false;  // a checkpoint is written beside steps
};

}  // namespace troupe
