// GPT-2 (Radford et al. 2019), with experts in place of dense layers where asked for: LayerNorm
// before attention and feed-forward, learned positions, biases, GELU, and a head that is the table
// of the embedding.
#include <fmt/core.h>
#include <fmt/format.h>

#include "models/model/family.h"
#include "models/model/legal.h"
#include "models/model/pre_norm_transformer.h"
#include "models/parts/attention.h"

namespace troupe {
namespace {

void resolve(ModelConfig& config, Options& resolved) {
  (void)resolved;
  config.kv_heads = config.heads;
  config.head_dim = config.dim / config.heads;
  config.attention_bias = true;
  config.tie_embeddings = true;
}

std::vector<FamilyProblem> problems(const ModelConfig& model) {
  if (model.dim % model.heads == 0) return {};
  return {{"heads",
           {"dim"},
           fmt::format("a head has dim / heads = {} / {} columns, which is not a whole number",
                       model.dim, model.heads),
           fmt::format("legal values near it: {}",
                       fmt::join(near_divisors(model.dim, model.heads), ", "))}};
}

TransformerParts parts(const ModelConfig& config) {
  AttentionConfig attention;
  attention.dim = config.dim;
  attention.heads = attention.kv_heads = config.heads;
  attention.head_dim = config.head_dim;
  attention.window = config.window;
  attention.bias = attention.output_bias = true;
  TransformerParts parts =
      pre_norm_transformer(config, layer_norm_part(config.dim, config.norm_eps),
                           attention_part(attention), gelu_part(config.dim, config.ffn_dim));
  parts.positions = learned_positions_part(config.seq_len, config.dim);
  return parts;
}

}  // namespace

FamilyDescriptor family_gpt2() {
  FamilyDescriptor family;
  family.name = "gpt2";
  family.help =
      "GPT-2: LayerNorm, learned positions for seq_len tokens, biases, GELU, and the embedding as "
      "output projection";
  family.ffn_dim = [](int64_t dim) { return 4 * dim; };
  family.ffn_dim_rule = "4 dim";
  family.resolve = resolve;
  family.problems = problems;
  family.parts = parts;
  return family;
}

}  // namespace troupe
