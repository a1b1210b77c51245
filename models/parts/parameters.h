// What every module of a model is made from, besides its own configuration.
#pragma once

#include <memory>

#include "parallel/mesh/parameter_set.h"

namespace troupe {

class RopeTables;

struct ModuleContext : ParameterMaker {
  ParameterContext parameters;
  std::shared_ptr<RopeTables> rope_tables;
};

}  // namespace troupe
