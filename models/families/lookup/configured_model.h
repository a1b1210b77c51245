// The model that a configuration names, and what can be said of it without tensors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/families/table.h"
#include "models/model/model.h"
#include "models/model/model_size.h"
#include "models/model/value_units.h"

namespace troupe {

// Throws Error(usage) when there is none of this name.
const FamilyDescriptor& find_family(const std::string& name);

// Layers of this rank's pipeline stage (see Transformer). The mesh must outlive it.
std::unique_ptr<Model> make_model(const ModelConfig& config, const Mesh& mesh,
                                  const std::shared_ptr<Device>& device, uint64_t seed);

// In the order of Model::parameters() on the ranks of this pipeline stage.
std::vector<ParameterSpec> model_parameters(const ModelConfig& config,
                                            const Parallelism& parallelism, int stage = 0);
ModelSize model_size(const ModelConfig& config);
// See models/model/model_size.h.
double training_flops(const ModelConfig& config, int64_t sequences);
// Of each block, in layer order; layers of one kind need the same.
std::vector<PartMemory> block_memory(const ModelConfig& config, const MemoryContext& context);
UnitPlan model_units(const ModelConfig& config);

}  // namespace troupe
