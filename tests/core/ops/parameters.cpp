#include "tests/core/ops/parameters.h"

namespace troupe::testing {

std::unique_ptr<Parameter> random_parameter(const Shape& shape, uint64_t key, DType compute,
                                            const std::shared_ptr<Device>& device, double spread) {
  Shape zero = shape;
  for (int dim = 0; dim < zero.rank(); ++dim) zero[dim] = 0;
  auto out = std::make_unique<Parameter>("w", Layout::replicated(shape, MeshKind::attention, {}),
                                         Box{zero, shape}, compute,
                                         Init{Init::Kind::normal, spread}, true, device);
  out->initialize(key);
  return out;
}

}  // namespace troupe::testing
