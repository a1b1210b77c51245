// How the parameters of a model are laid out and initialised.
#pragma once

#include <memory>
#include <string>
#include <vector>

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
  // Of matrices that write into the residual stream: init_std / sqrt(2 layers).
  double residual_std = 0;
};

// What the tp ranks saw when a parameter that they all hold whole got its gradient. Over dp and cp
// tokens are always spread.
enum class TpGradient : uint8_t {
  same,    // all the same: nothing to sum
  stream,  // rows of the residual stream: other ones with sp, the same without
  partial  // each its own heads: summed
};

std::unique_ptr<Parameter> replicated_parameter(const ModuleContext& context,
                                                const std::string& name, const Shape& shape,
                                                Init init, bool decay, TpGradient tp);

// dim `dim` cut over tp. sections: sizes of parts that are cut one by one (gate|up); empty = one.
// on_both_ends: the first and the last pipeline stage hold it alike (a tied embedding).
std::unique_ptr<Parameter> cut_parameter(const ModuleContext& context, const std::string& name,
                                         const Shape& shape, int dim, Init init, bool decay,
                                         Cut cut = Cut::block, std::vector<int64_t> sections = {},
                                         bool on_both_ends = false);

}  // namespace troupe
