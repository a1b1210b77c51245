#include "parallel/mesh/parameter_spec.h"

namespace troupe {
namespace {

ParameterSpec spec(const ParameterContext& context, const std::string& name, Layout layout,
                   Init init) {
  const bool matrix = layout.global.rank() > 1;
  return {name, std::move(layout), context.compute, init, matrix, matrix};
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

}  // namespace troupe
