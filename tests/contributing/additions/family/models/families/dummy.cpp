// A family of attention without rotary positions under RMSNorm.
#include "models/model/family.h"
#include "models/model/pre_norm_transformer.h"
#include "models/parts/attention.h"

namespace troupe {

FamilyDescriptor family_dummy() {
  FamilyDescriptor family;
  family.name = "dummy";
  family.help = "a model that knows no positions";
  family.fields = {make_field("dummies", FieldType::boolean, false, "Read by nobody.")};
  family.ffn_dim = [](int64_t dim) { return 2 * dim; };
  family.ffn_dim_rule = "2 dim";
  family.resolve = [](ModelConfig& config, Options&) {
    config.kv_heads = config.heads;
    config.head_dim = config.dim / config.heads;
  };
  family.problems = [](const ModelConfig&) { return std::vector<FamilyProblem>(); };
  family.parts = [](const ModelConfig& config) {
    AttentionConfig attention;
    attention.dim = config.dim;
    attention.heads = attention.kv_heads = config.heads;
    attention.head_dim = config.head_dim;
    return pre_norm_transformer(config, rms_norm_part(config.dim, config.norm_eps),
                                attention_part(attention), swiglu_part(config.dim, config.ffn_dim));
  };
  return family;
}

}  // namespace troupe
