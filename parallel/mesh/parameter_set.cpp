#include "parallel/mesh/parameter_set.h"

#include "core/base/error.h"

namespace troupe {
namespace {

std::unique_ptr<Parameter> make(const ParameterSpec& spec, const ParameterMaker& maker) {
  const Mesh& mesh = *maker.mesh;
  auto parameter = std::make_unique<Parameter>(
      spec.name, spec.layout, local_slice(spec.layout, mesh.shape(), mesh.coordinates()),
      spec.compute, spec.init, spec.decay, maker.device);
  // Then whoever spreads the values draws them.
  if (value_is_sharded(spec.layout, mesh.parallelism())) parameter->value().storage()->free();
  parameter->initialize(maker.seed);
  return parameter;
}

}  // namespace

ParameterSet::ParameterSet(const std::vector<ParameterSpec>& specs, const ParameterMaker& maker) {
  for (const ParameterSpec& spec : specs) list_.push_back(make(spec, maker));
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

void ParameterSet::visit(const std::function<void(Parameter&)>& visitor) const {
  for (const auto& parameter : list_) visitor(*parameter);
}

}  // namespace troupe
