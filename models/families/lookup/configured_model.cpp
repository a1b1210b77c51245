#include "models/families/lookup/configured_model.h"

#include "core/base/error.h"
#include "models/model/transformer.h"

namespace troupe {

std::deque<FamilyDescriptor> families_of_this_build();  // written by cmake/descriptor_table.cmake

namespace {

TransformerParts parts_of(const ModelConfig& config) {
  return find_family(config.family).parts(config);
}

}  // namespace

const std::deque<FamilyDescriptor>& families() {
  static const std::deque<FamilyDescriptor> table = families_of_this_build();
  return table;
}

const FamilyDescriptor& find_family(const std::string& name) {
  for (const FamilyDescriptor& family : families()) {
    if (family.name == name) return family;
  }
  fail(ExitCode::usage, "no model family named {}", name);
}

std::unique_ptr<Model> make_model(const ModelConfig& config, const Mesh& mesh,
                                  const std::shared_ptr<Device>& device, uint64_t seed) {
  return std::make_unique<Transformer>(config, parts_of(config), mesh, device, seed);
}

std::vector<ParameterSpec> model_parameters(const ModelConfig& config,
                                            const Parallelism& parallelism, int stage) {
  return transformer_parameters(config, parts_of(config), parallelism, stage);
}

ModelSize model_size(const ModelConfig& config) {
  return transformer_size(config, parts_of(config));
}

double training_flops(const ModelConfig& config, int64_t sequences) {
  return training_flops(config, model_size(config), sequences);
}

std::vector<PartMemory> block_memory(const ModelConfig& config, const MemoryContext& context) {
  std::vector<PartMemory> list;
  for (const BlockPart& block : parts_of(config).blocks) list.push_back(block->memory(context));
  return list;
}

UnitPlan model_units(const ModelConfig& config) { return unit_plan(config, parts_of(config)); }

}  // namespace troupe
