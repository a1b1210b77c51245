// The state that a checkpoint keeps, as a list: modules, optimizer, router biases, sampler and
// schedule each give theirs; parallel/checkpoint knows only the list.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/parameter/layout.h"
#include "core/tensor/tensor.h"

namespace troupe {

// A tensor of the global state by logical name. `tensor` is this rank's part (box) and is written
// in place on load.
struct StateTensor {
  std::string
      name;  // "parameters/layers.0.moe.experts.w1", "optimizer/first_moment/...", "router/..."
  Layout layout;
  Box box;
  Tensor tensor;
};

// A value that all ranks share.
struct StateScalar {
  std::string name;  // "step", "tokens", "seed", ...
  std::variant<int64_t, double, std::string> value;
};

struct State {
  std::vector<StateTensor> tensors;
  std::vector<StateScalar> scalars;
};

}  // namespace troupe
