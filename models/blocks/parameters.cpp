#include "models/blocks/parameters.h"

namespace troupe {

std::unique_ptr<Parameter> replicated_parameter(const ModuleContext& context,
                                                const std::string& name, const Shape& shape,
                                                Init init, bool decay) {
  const Layout layout = Layout::replicated(shape, MeshKind::attention, {Axis::dp, Axis::cp});
  const MeshShape& mesh = context.mesh->shape();
  const LocalSlice slice = local_slice(layout, mesh, context.mesh->coordinates());
  auto parameter = std::make_unique<Parameter>(name, layout, slice, context.compute, init, decay,
                                               context.device);
  parameter->initialize(context.seed);
  return parameter;
}

}  // namespace troupe
