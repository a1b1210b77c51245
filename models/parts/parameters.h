// What every module of a model is made from, besides its own configuration.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "parallel/mesh/parameter_set.h"

namespace troupe {

class RopeTables;
class Router;

// The routers that the layers of one stage have made, by the names of these layers.
using StageRouters = std::map<std::string, std::shared_ptr<Router>>;

struct ModuleContext : ParameterMaker {
  ParameterContext parameters;
  std::shared_ptr<RopeTables> rope_tables;
  std::shared_ptr<StageRouters> routers;
};

}  // namespace troupe
