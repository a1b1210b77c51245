// How the parameters of a model are laid out and initialised.
#pragma once

#include <memory>
#include <string>

#include "core/parameter/parameter.h"
#include "parallel/mesh/mesh.h"

namespace troupe {

// What every module needs to make its parameters.
struct ModuleContext {
  const Mesh* mesh = nullptr;
  std::shared_ptr<Device> device;
  DType compute = DType::f32;
  uint64_t seed = 0;       // of the initial values
  double init_std = 0.02;  // of matrices
  double residual_std =
      0;  // of matrices that write into the residual stream: init_std / sqrt(2 layers)
};

// A parameter that every attention rank holds whole, with its initial value. Tokens are spread over
// dp and cp, so its gradient is partial there.
std::unique_ptr<Parameter> replicated_parameter(const ModuleContext& context,
                                                const std::string& name, const Shape& shape,
                                                Init init, bool decay);

}  // namespace troupe
