#include "models/parts/parameters.h"

#include "core/base/error.h"

namespace troupe {
namespace {

ParameterSpec spec(const ParameterContext& context, const std::string& name, Layout layout,
                   Init init) {
  const bool matrix = layout.global.rank() > 1;
  return {name, std::move(layout), context.compute, init, matrix, matrix};
}

std::unique_ptr<Parameter> make(const ParameterSpec& spec, const ModuleContext& context) {
  const Mesh& mesh = *context.mesh;
  auto parameter = std::make_unique<Parameter>(
      spec.name, spec.layout, local_slice(spec.layout, mesh.shape(), mesh.coordinates()),
      spec.compute, spec.init, spec.decay, context.device);
  // Then whoever spreads the values draws them.
  if (value_is_sharded(spec.layout, mesh.parallelism())) parameter->value().storage()->free();
  parameter->initialize(context.seed);
  return parameter;
}

}  // namespace

ParameterSpec replicated_parameter(const ParameterContext& context, const std::string& name,
                                   const Shape& shape, Init init, TpGradient tp) {
  Layout layout = Layout::replicated(shape, MeshKind::attention, {Axis::dp, Axis::cp});
  layout.gradient_partial[static_cast<size_t>(Axis::tp)] =
      tp == TpGradient::partial || (tp == TpGradient::stream && context.parallelism.sp);
  return spec(context, name, std::move(layout), init);
}

ParameterSpec cut_parameter(const ParameterContext& context, const std::string& name,
                            const Shape& shape, int dim, Init init, Cut cut,
                            std::vector<int64_t> sections) {
  Layout layout = Layout::replicated(shape, MeshKind::attention, {Axis::dp, Axis::cp});
  layout.shard(dim, Axis::tp, cut);
  layout.dims[static_cast<size_t>(dim)].sections = std::move(sections);
  return spec(context, name, std::move(layout), init);
}

int64_t local_elements(const ParameterSpec& parameter, const MeshShape& mesh, int rank) {
  return local_shape(parameter.layout, mesh, coordinates(mesh, rank)).elements();
}

ParameterSet::ParameterSet(const std::vector<ParameterSpec>& specs, const ModuleContext& context) {
  for (const ParameterSpec& spec : specs) list_.push_back(make(spec, context));
}

Parameter* ParameterSet::find(const std::string& name) const {
  for (const auto& parameter : list_) {
    if (parameter->name() == name) return parameter.get();
  }
  return nullptr;
}

Parameter& ParameterSet::at(const std::string& name) const {
  Parameter* found = find(name);
  require(found != nullptr, "no parameter named {}", name);
  return *found;
}

void ParameterSet::append_to(std::vector<Parameter*>& out) const {
  for (const auto& parameter : list_) out.push_back(parameter.get());
}

}  // namespace troupe
