#include "models/model/transformer_parts.h"

#include <fmt/core.h>

#include <cmath>

#include "parallel/pp/pipeline_schedule.h"

namespace troupe {

ParameterContext parameter_context(const ModelConfig& config, const Parallelism& parallelism) {
  // Each block writes twice into the residual stream; its variance should not grow with depth
  // (GPT-2).
  return {parallelism, config.compute, config.init_std,
          config.init_std / std::sqrt(2.0 * static_cast<double>(config.layers))};
}

std::vector<ParameterSpec> embedding_parameters(const ModelConfig& config,
                                                const ParameterContext& context) {
  ParameterSpec table = cut_parameter(context, "embedding.weight", {config.vocab, config.dim}, 0,
                                      {Init::Kind::normal, context.init_std}, Cut::uneven);
  table.role = ParameterRole::table;
  table.in_products = config.tie_embeddings;
  // A tied table stands on the first and the last stage, which add up its gradient.
  table.layout.gradient_partial[static_cast<size_t>(Axis::pp)] =
      config.tie_embeddings && context.parallelism.shape[Axis::pp] > 1;
  return {table};
}

std::vector<ParameterSpec> head_parameters(const ModelConfig& config,
                                           const ParameterContext& context) {
  return {cut_parameter(context, "head.weight", {config.vocab, config.dim}, 0,
                        {Init::Kind::normal, context.init_std}, Cut::uneven)};
}

std::vector<ParameterSpec> transformer_parameters(const ModelConfig& config,
                                                  const TransformerParts& parts,
                                                  const Parallelism& parallelism, int stage) {
  const ParameterContext context = parameter_context(config, parallelism);
  std::vector<ParameterSpec> list;
  const auto append = [&list](std::vector<ParameterSpec> some) {
    for (ParameterSpec& spec : some) list.push_back(std::move(spec));
  };
  const int stages = parallelism.shape[Axis::pp];
  const int chunks = chunks_per_stage(parallelism);
  if (stage == 0) {
    append(embedding_parameters(config, context));
    if (parts.positions) append(parts.positions->parameters("positions", context));
  }
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const LayerRange layers =
        layers_of_virtual_stage(config.layers, stages * chunks, chunk * stages + stage);
    for (int64_t layer = layers.begin; layer < layers.end; ++layer) {
      append(parts.blocks.at(static_cast<size_t>(layer))
                 ->parameters(fmt::format("layers.{}", layer), context));
    }
  }
  if (!holds_last_piece(stage, stages)) return list;
  append(parts.norm->parameters("norm", context));
  if (!config.tie_embeddings) append(head_parameters(config, context));
  if (config.tie_embeddings && stage > 0) append(embedding_parameters(config, context));
  return list;
}

}  // namespace troupe
