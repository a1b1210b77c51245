// The Llama- and Mixtral-shaped language model: RMSNorm before attention with rotary positions and
// before SwiGLU or experts.
#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>

#include "models/model/family.h"
#include "models/model/legal.h"
#include "models/model/pre_norm_transformer.h"
#include "models/parts/attention.h"

namespace troupe {
namespace {

Field integer_or_auto(std::string name, std::string help, double minimum, double maximum) {
  Field field =
      make_field(std::move(name), FieldType::integer, std::string("auto"), std::move(help));
  field.words = {"auto"};
  field.minimum = minimum;
  field.maximum = maximum;
  return field;
}

FieldList fields() {
  Field theta = make_field("rope_theta", FieldType::real, 10000.0,
                           "Base of the rotary position frequencies.");
  theta.minimum = 0;
  theta.exclusive_minimum = true;
  Field output_bias =
      make_field("attention_output_bias", FieldType::boolean, std::string("auto"),
                 "A bias on the output projection of attention. auto = as attention_bias.");
  output_bias.words = {"auto"};
  return {
      integer_or_auto("kv_heads",
                      "Heads of keys and values; must divide heads. auto = heads (no grouping).", 1,
                      1 << 16),
      integer_or_auto("head_dim", "Width of one head, even (RoPE turns pairs). auto = dim / heads.",
                      2, 1 << 20),
      make_field("tie_embeddings", FieldType::boolean, false,
                 "Use the embedding table as output projection, too."),
      theta,
      make_field("qk_norm", FieldType::boolean, false,
                 "RMSNorm on queries and keys of each head before RoPE."),
      make_field("attention_bias", FieldType::boolean, false,
                 "Biases on the query, key and value projections."),
      output_bias,
  };
}

bool automatic(const ModelConfig& config, const char* field) {
  return config.options.has(field) &&
         std::holds_alternative<std::string>(config.options.values().at(field));
}

void resolve(ModelConfig& config, Options& resolved) {
  const auto integer = [&](const char* field, int64_t value) {
    if (automatic(config, field)) resolved.set(field, value);
    return resolved.integer(field);
  };
  config.kv_heads = integer("kv_heads", config.heads);
  config.head_dim = integer("head_dim", std::max<int64_t>(1, config.dim / config.heads));
  config.tie_embeddings = resolved.boolean("tie_embeddings");
  config.rope_theta = resolved.real("rope_theta");
  config.qk_norm = resolved.boolean("qk_norm");
  config.attention_bias = resolved.boolean("attention_bias");
  if (automatic(config, "attention_output_bias"))
    resolved.set("attention_output_bias", config.attention_bias);
  config.attention_output_bias = resolved.boolean("attention_output_bias");
}

std::vector<FamilyProblem> problems(const ModelConfig& model) {
  std::vector<FamilyProblem> list;
  const bool divided = automatic(model, "head_dim");
  if (divided && model.dim % model.heads != 0) {
    list.push_back({"heads",
                    {"dim"},
                    fmt::format("head_dim = dim / heads = {} / {} is not a whole number", model.dim,
                                model.heads),
                    model.dim % 2 == 0
                        ? fmt::format("legal heads near {} (head_dim even): {}", model.heads,
                                      fmt::join(near_divisors(model.dim / 2, model.heads), ", "))
                        : std::string("write an even dim"),
                    "head_dim"});
  } else if (model.head_dim % 2 != 0) {
    list.push_back(
        {"head_dim",
         {"dim", "heads"},
         fmt::format("RoPE turns pairs, so head_dim must be even; it is {}{}", model.head_dim,
                     divided ? fmt::format(" = {} / {}", model.dim, model.heads) : ""),
         fmt::format("nearest legal value: {}", model.head_dim + 1)});
  }
  if (model.heads % model.kv_heads != 0) {
    list.push_back(
        {"kv_heads",
         {"heads"},
         fmt::format("heads must be a multiple of kv_heads: {} = {} x {} + {}", model.heads,
                     model.heads / model.kv_heads, model.kv_heads, model.heads % model.kv_heads),
         fmt::format("legal values near it: {}",
                     fmt::join(near_divisors(model.heads, model.kv_heads), ", "))});
  }
  return list;
}

TransformerParts parts(const ModelConfig& config) {
  AttentionConfig attention;
  attention.dim = config.dim;
  attention.heads = config.heads;
  attention.kv_heads = config.kv_heads;
  attention.head_dim = config.head_dim;
  attention.window = config.window;
  attention.qk_norm = config.qk_norm;
  attention.bias = config.attention_bias;
  attention.output_bias = config.attention_output_bias.value_or(config.attention_bias);
  attention.norm_eps = config.norm_eps;
  attention.rope_theta = config.rope_theta;
  attention.seq_len = config.seq_len;
  return pre_norm_transformer(config, rms_norm_part(config.dim, config.norm_eps),
                              attention_part(attention), swiglu_part(config.dim, config.ffn_dim));
}

}  // namespace

FamilyDescriptor family_decoder() {
  FamilyDescriptor family;
  family.name = "decoder";
  family.help = "a pre-norm decoder of the Llama and Mixtral shape";
  family.fields = fields();
  family.ffn_dim = [](int64_t dim) { return ((8 * dim + 2) / 3 + 31) / 32 * 32; };
  family.ffn_dim_rule = "8/3 dim, rounded up to a multiple of 32";
  family.resolve = resolve;
  family.problems = problems;
  family.parts = parts;
  return family;
}

}  // namespace troupe
