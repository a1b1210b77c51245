// The configuration of a model, as plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/field.h"
#include "core/tensor/dtype.h"
#include "moe/layer/moe_config.h"

namespace troupe {

struct ModelConfig {
  std::string family = "decoder";  // of the table in models/families/table.h
  Options options;                 // of the family's field list, as given
  int64_t layers = 4;
  int64_t dim = 192;
  int64_t heads = 6;
  int64_t ffn_dim = 512;  // of dense layers
  int64_t seq_len = 256;
  int64_t vocab = 256;  // resolved
  double norm_eps = 1e-5;
  double dropout = 0.0;
  int64_t window = 0;      // 0 = full causal attention
  bool recompute = false;  // recompute: full
  bool mask_documents = false;
  double init_std = 0.02;
  DType compute = DType::f32;
  std::vector<std::optional<MoEConfig>> moe;  // one per layer; nullopt = dense

  // What a family says of itself (FamilyDescriptor::resolve), from its options or once and for all.
  int64_t kv_heads = 2;
  int64_t head_dim = 32;
  bool tie_embeddings = false;
  double rope_theta = 10000.0;
  bool qk_norm = false;
  bool attention_bias = false;                // on queries, keys and values
  std::optional<bool> attention_output_bias;  // none = as attention_bias
};

}  // namespace troupe
