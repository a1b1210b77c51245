#include "models/convert/hf_families/parts/llama_shape.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/families/lookup/configured_model.h"

namespace troupe {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

// Positions for which a model is configured where the file allows more: attention over all of them
// would need more memory than most machines have. The weights do not depend on it.
constexpr int64_t kUsualPositions = 2048;

// Version 5 keeps all of it in "rope_parameters", before that there were "rope_theta" and
// "rope_scaling".
double read_rope(HfConfigReader& config, double otherwise) {
  double theta = config.real({"rope_theta"}, otherwise);
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    const json rope = config.object(name);
    if (rope.empty()) continue;
    HfConfigReader inner(rope, name);
    if (inner.has("rope_theta")) {
      const double inside = inner.real({"rope_theta"});
      if (config.has("rope_theta") && inside != theta)
        config.fault(fmt::format("\"rope_theta\" is {}, inside {} it is {}", theta, name, inside));
      theta = inside;
    }
    const std::string type = inner.text({"rope_type", "type"}, "default");
    if (type != "default")
      config.unsupported(fmt::format("{} of type \"{}\"", config.shown(name), type));
    if (inner.real({"partial_rotary_factor"}, 1.0) != 1.0)
      config.unsupported(config.shown(name) + ": all of a head is turned");
  }
  if (config.real({"partial_rotary_factor"}, 1.0) != 1.0)
    config.unsupported(config.shown("partial_rotary_factor") + ": all of a head is turned");
  if (!(theta > 0)) {
    config.fault(fmt::format("\"rope_theta\" is {}; it must be above 0", theta));
    return otherwise;
  }
  return theta;
}

}  // namespace

std::string our_layer(int64_t layer) { return fmt::format("layers.{}", layer); }
std::string hf_layer(int64_t layer) { return "model." + our_layer(layer); }

ModelConfig read_llama_shape(HfConfigReader& config, const LlamaShape& shape) {
  ModelConfig model;
  model.family = "decoder";
  model.vocab = config.size({"vocab_size"}, kMostVocab);
  model.dim = config.size({"hidden_size"}, kMostColumns);
  model.layers = config.size({"num_hidden_layers"}, kMostLayers);
  model.heads = config.size({"num_attention_heads"}, kMostHeads);
  model.ffn_dim = config.size({"intermediate_size"}, kMostWidth);
  model.kv_heads = config.integer({"num_key_value_heads"}, model.heads);
  if (model.kv_heads < 1 || model.heads % model.kv_heads != 0) {
    config.fault(
        fmt::format("\"num_attention_heads\" {} is no multiple of \"num_key_value_heads\" {}",
                    model.heads, model.kv_heads));
    model.kv_heads = model.heads;
  }
  const bool divided = shape.head_dim == 0 || config.states_null("head_dim");
  if (divided && !config.has("head_dim") && model.dim % model.heads != 0) {
    config.fault(fmt::format("\"hidden_size\" {} is no multiple of \"num_attention_heads\" {}",
                             model.dim, model.heads));
  }
  model.head_dim = config.integer(
      {"head_dim"}, divided ? std::max<int64_t>(1, model.dim / model.heads) : shape.head_dim);
  if (model.head_dim < 2 || model.head_dim % 2 != 0 || model.head_dim > kMostColumns) {
    config.fault(
        fmt::format("heads have {} columns; rotary positions need an even number", model.head_dim));
    model.head_dim = 2;
  }
  model.norm_eps = config.positive({"rms_norm_eps"}, 1.0, shape.norm_eps);
  model.rope_theta = read_rope(config, shape.rope_theta);
  model.tie_embeddings = config.boolean({"tie_word_embeddings"}, shape.ties_by_default);
  model.qk_norm = shape.qk_norm;
  model.attention_bias =
      shape.always_biases || (shape.has_biases && config.boolean({"attention_bias"}, false));
  model.attention_output_bias = model.attention_bias && !shape.always_biases;
  if (shape.has_mlp_bias && config.boolean({"mlp_bias"}, false))
    config.unsupported(config.shown("mlp_bias"));
  const std::string activation = config.text({"hidden_act"}, "silu");
  if (activation != "silu" && activation != "swish")
    config.unsupported(config.shown("hidden_act") + "; only \"silu\" is");
  if (config.real({"attention_dropout"}, 0.0) != 0.0)
    config.unsupported(config.shown("attention_dropout") + ": attention has no dropout");
  model.init_std = config.positive({"initializer_range"}, 10.0, 0.02);
  const int64_t positions = config.integer({"max_position_embeddings"}, shape.max_positions);
  model.seq_len = std::clamp<int64_t>(positions, 1, kUsualPositions);
  model.options = Options(find_family(model.family).fields);
  model.options.set("kv_heads", model.kv_heads);
  model.options.set("head_dim", model.head_dim);
  model.options.set("tie_embeddings", model.tie_embeddings);
  model.options.set("rope_theta", model.rope_theta);
  model.options.set("qk_norm", model.qk_norm);
  model.options.set("attention_bias", model.attention_bias);
  model.options.set("attention_output_bias", *model.attention_output_bias);
  model.moe.assign(static_cast<size_t>(model.layers), std::nullopt);
  return model;
}

void write_llama_shape(const ModelConfig& model, const LlamaShape& shape, ordered_json& config) {
  config["vocab_size"] = model.vocab;
  config["hidden_size"] = model.dim;
  config["intermediate_size"] = model.ffn_dim;
  config["num_hidden_layers"] = model.layers;
  config["num_attention_heads"] = model.heads;
  config["num_key_value_heads"] = model.kv_heads;
  config["head_dim"] = model.head_dim;
  config["hidden_act"] = "silu";
  config["max_position_embeddings"] = model.seq_len;
  config["initializer_range"] = model.init_std;
  config["rms_norm_eps"] = model.norm_eps;
  config["rope_theta"] = model.rope_theta;  // for readers before version 5
  config["rope_parameters"] = {{"rope_theta", model.rope_theta}, {"rope_type", "default"}};
  config["tie_word_embeddings"] = model.tie_embeddings;
  config["attention_dropout"] = 0.0;
  if (shape.has_biases) config["attention_bias"] = model.attention_bias;
  if (shape.has_mlp_bias) config["mlp_bias"] = false;
}

std::vector<std::string> llama_shape_lacks(const ModelConfig& model, const LlamaShape& shape) {
  std::vector<std::string> list;
  if (model.family != "decoder") {
    list.push_back(fmt::format("the family {}", model.family));
    return list;
  }
  if (model.qk_norm && !shape.qk_norm) list.push_back("norms on queries and keys");
  if (!model.qk_norm && shape.qk_norm) list.push_back("no norms on queries and keys");
  const bool output_bias = model.attention_output_bias.value_or(model.attention_bias);
  if (shape.always_biases) {
    if (!model.attention_bias) list.push_back("no biases on queries, keys and values");
    if (output_bias) list.push_back("a bias on the output of attention");
  } else if (model.attention_bias && !shape.has_biases) {
    list.push_back("biases in attention");
  } else if (output_bias != model.attention_bias) {
    list.push_back("biases on some projections of attention only");
  }
  return list;
}

void link_llama_shape(const ModelConfig& model, LinkList& links) {
  const int64_t dim = model.dim;
  links.whole("embedding.weight", kEmbedding, {model.vocab, dim});
  const int64_t query = model.heads * model.head_dim;
  const int64_t key = model.kv_heads * model.head_dim;
  for (int64_t layer = 0; layer < model.layers; ++layer) {
    const std::string ours = our_layer(layer);
    const std::string theirs = hf_layer(layer);
    const std::string attention = ours + ".attention.";
    const std::string their_attention = theirs + ".self_attn.";
    links.whole(ours + ".attention_norm.weight", theirs + ".input_layernorm.weight", {dim});
    links.whole(attention + "q.weight", their_attention + "q_proj.weight", {query, dim});
    links.whole(attention + "k.weight", their_attention + "k_proj.weight", {key, dim});
    links.whole(attention + "v.weight", their_attention + "v_proj.weight", {key, dim});
    links.whole(attention + "o.weight", their_attention + "o_proj.weight", {dim, query});
    if (model.attention_bias) {
      links.whole(attention + "q.bias", their_attention + "q_proj.bias", {query});
      links.whole(attention + "k.bias", their_attention + "k_proj.bias", {key});
      links.whole(attention + "v.bias", their_attention + "v_proj.bias", {key});
    }
    if (model.attention_output_bias.value_or(model.attention_bias))
      links.whole(attention + "o.bias", their_attention + "o_proj.bias", {dim});
    if (model.qk_norm) {
      links.whole(attention + "q_norm.weight", their_attention + "q_norm.weight", {model.head_dim});
      links.whole(attention + "k_norm.weight", their_attention + "k_norm.weight", {model.head_dim});
    }
    links.whole(ours + ".feed_forward_norm.weight", theirs + ".post_attention_layernorm.weight",
                {dim});
  }
  links.whole("norm.weight", "model.norm.weight", {dim});
  if (!model.tie_embeddings) links.whole("head.weight", "lm_head.weight", {model.vocab, dim});
}

void link_dense_layer(const ModelConfig& model, int64_t layer, LinkList& links) {
  const std::string ours = our_layer(layer) + ".feed_forward.";
  const std::string theirs = hf_layer(layer) + ".mlp.";
  const int64_t width = model.ffn_dim;
  links.part(ours + "gate_up.weight", 0, theirs + "gate_proj.weight", {width, model.dim});
  links.part(ours + "gate_up.weight", width * model.dim, theirs + "up_proj.weight",
             {width, model.dim});
  links.whole(ours + "down.weight", theirs + "down_proj.weight", {model.dim, width});
}

void check_layer_types(HfConfigReader& config, bool window) {
  const std::string wanted = window ? "sliding_attention" : "full_attention";
  for (const std::string& type : config.texts({"layer_types"})) {
    if (type == wanted) continue;
    config.unsupported(
        fmt::format("{}: {} on every layer is", config.shown("layer_types"), wanted));
    return;
  }
}

}  // namespace troupe
