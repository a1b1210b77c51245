// The models of the layout law: every router, with capacity and dropless, all balance scopes at
// once.
#pragma once

#include <string>
#include <vector>

#include "models/engine/training_engine.h"

namespace troupe::laws {

struct NamedCase {
  std::string name;
  EngineConfig engine;
};
std::vector<NamedCase> law_cases(DType compute);

struct LayoutCase {
  int ranks;
  int ep;
};
inline constexpr LayoutCase kLayouts[] = {{1, 1}, {2, 1}, {2, 2}, {3, 3}, {4, 1}, {4, 2}, {4, 4}};

}  // namespace troupe::laws
