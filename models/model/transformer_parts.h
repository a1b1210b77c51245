// A transformer as a family chooses it: the parts between the embedding and the head.
#pragma once

#include <vector>

#include "models/model/model_config.h"
#include "models/parts/block.h"
#include "models/parts/norm.h"
#include "models/parts/positions.h"

namespace troupe {

struct TransformerParts {
  PositionPart positions;  // null = blocks know positions by themselves
  std::vector<BlockPart> blocks;
  NormPart norm;  // before the head
};

// All parameters on the ranks of a pipeline stage, in the order of Model::parameters(): those of
// the embedding on the first stage, of the last norm and the head on the last one.
std::vector<ParameterSpec> transformer_parameters(const ModelConfig& config,
                                                  const TransformerParts& parts,
                                                  const Parallelism& parallelism, int stage);

// The lists that they are made of.
ParameterContext parameter_context(const ModelConfig& config, const Parallelism& parallelism);
std::vector<ParameterSpec> embedding_parameters(const ModelConfig& config,
                                                const ParameterContext& context);
std::vector<ParameterSpec> head_parameters(const ModelConfig& config,
                                           const ParameterContext& context);

}  // namespace troupe
