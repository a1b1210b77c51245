// What the classes of Llama's shape have in common: RMSNorm, rotary positions, grouped keys,
// SwiGLU.
#pragma once

#include <string>
#include <vector>

#include "models/convert/hf_family.h"

namespace troupe {

// What a class takes for keys that its config.json leaves out, and where the classes differ.
struct LlamaShape {
  double norm_eps = 1e-6;
  double rope_theta = 10000.0;
  int64_t max_positions = 2048;
  int64_t head_dim = 0;        // 0 = hidden_size / num_attention_heads
  bool qk_norm = false;        // per head
  bool has_biases = false;     // "attention_bias" is a key of the class: q, k, v and o
  bool always_biases = false;  // on q, k and v, whatever the file says
  bool has_mlp_bias = false;   // "mlp_bias", too
  bool ties_by_default = false;
};

constexpr const char* kEmbedding = "model.embed_tokens.weight";

// All of a dense model but its window. `moe` is left empty: one nullopt a layer.
ModelConfig read_llama_shape(HfConfigReader& config, const LlamaShape& shape);
void write_llama_shape(const ModelConfig& model, const LlamaShape& shape,
                       nlohmann::ordered_json& config);
// What no class of this shape can say, or not this one.
std::vector<std::string> llama_shape_lacks(const ModelConfig& model, const LlamaShape& shape);

// Links of everything but the feed-forward of the layers.
void link_llama_shape(const ModelConfig& model, LinkList& links);
// gate_proj, up_proj and down_proj of a dense layer.
void link_dense_layer(const ModelConfig& model, int64_t layer, LinkList& links);
// "model.layers.3"
std::string hf_layer(int64_t layer);
std::string our_layer(int64_t layer);

// Notes what a list of "layer_types" says that one window for all layers does not. window: whether
// all layers are windowed.
void check_layer_types(HfConfigReader& config, bool window);

}  // namespace troupe
