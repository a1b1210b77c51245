#include "models/model/model_size.h"

#include <cmath>

namespace troupe {

ModelSize transformer_size(const ModelConfig& config, const TransformerParts& parts) {
  ModelSize size;
  double read = 0;  // of routed experts
  for (const ParameterSpec& spec : transformer_parameters(config, parts, Parallelism(), 0)) {
    const int64_t elements = spec.layout.global.elements();
    size.parameters += elements;
    if (spec.role == ParameterRole::table) size.embedding += elements;
    if (spec.role == ParameterRole::router) size.router += elements;
    if (spec.role == ParameterRole::expert) {
      read += static_cast<double>(elements) * spec.active;
    } else {
      size.active_parameters += elements;
    }
  }
  size.active_parameters += std::llround(read);
  return size;
}

double training_flops(const ModelConfig& config, const ModelSize& size, int64_t sequences) {
  // A tied table is still multiplied once, as the head.
  const int64_t multiplied = size.active_parameters - size.embedding +
                             (config.tie_embeddings ? config.vocab * config.dim : 0);
  const auto tokens = static_cast<double>(sequences * config.seq_len);
  return 6.0 * static_cast<double>(multiplied) * tokens +
         6.0 * static_cast<double>(config.layers) * tokens *
             static_cast<double>(config.seq_len * config.dim);
}

}  // namespace troupe
