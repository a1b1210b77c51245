#include "models/blocks/parameters.h"

namespace troupe {
namespace {

std::unique_ptr<Parameter> make(const ModuleContext& context, const std::string& name,
                                const Layout& layout, Init init, bool decay) {
  const Mesh& mesh = *context.mesh;
  auto parameter = std::make_unique<Parameter>(
      name, layout, local_slice(layout, mesh.shape(), mesh.coordinates()), context.compute, init,
      decay, context.device);
  // Then whoever spreads the values draws them.
  if (value_is_sharded(layout, mesh.parallelism())) parameter->value().storage()->drop();
  parameter->initialize(context.seed);
  return parameter;
}

}  // namespace

std::unique_ptr<Parameter> replicated_parameter(const ModuleContext& context,
                                                const std::string& name, const Shape& shape,
                                                Init init, bool decay, TpGradient tp) {
  Layout layout = Layout::replicated(shape, MeshKind::attention, {Axis::dp, Axis::cp});
  layout.gradient_partial[static_cast<size_t>(Axis::tp)] =
      tp == TpGradient::partial || (tp == TpGradient::stream && context.mesh->parallelism().sp);
  return make(context, name, layout, init, decay);
}

std::unique_ptr<Parameter> cut_parameter(const ModuleContext& context, const std::string& name,
                                         const Shape& shape, int dim, Init init, bool decay,
                                         Cut cut, std::vector<int64_t> sections,
                                         bool on_both_ends) {
  Layout layout = Layout::replicated(shape, MeshKind::attention, {Axis::dp, Axis::cp});
  layout.shard(dim, Axis::tp, cut);
  layout.dims[static_cast<size_t>(dim)].sections = std::move(sections);
  layout.gradient_partial[static_cast<size_t>(Axis::pp)] = on_both_ends;
  return make(context, name, layout, init, decay);
}

}  // namespace troupe
