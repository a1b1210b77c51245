// GPT-2 (Radford et al. 2019). Matrices lie as [in, out], and queries, keys and values in one.
#include <fmt/format.h>

#include <algorithm>

#include "models/convert/hf_family.h"

namespace troupe {
namespace {

ModelConfig read(HfConfigReader& config) {
  ModelConfig model;
  model.family = "gpt2";
  model.vocab = config.size({"vocab_size"}, kMostVocab, 50257);
  model.dim = config.size({"n_embd", "hidden_size"}, kMostColumns, 768);
  model.layers = config.size({"n_layer", "num_hidden_layers"}, kMostLayers, 12);
  model.heads = config.size({"n_head", "num_attention_heads"}, kMostHeads, 12);
  model.seq_len =
      config.size({"n_positions", "n_ctx", "max_position_embeddings"}, kMostPositions, 1024);
  model.ffn_dim = config.size({"n_inner"}, kMostWidth, 4 * model.dim);
  if (model.dim % model.heads != 0) {
    config.fault(
        fmt::format("\"n_embd\" {} is no multiple of \"n_head\" {}", model.dim, model.heads));
    model.heads = 1;
  }
  model.norm_eps = config.positive({"layer_norm_epsilon"}, 1.0, 1e-5);
  model.init_std = config.positive({"initializer_range"}, 10.0, 0.02);
  model.kv_heads = model.heads;
  model.head_dim = model.dim / model.heads;
  model.attention_bias = true;
  model.tie_embeddings = config.boolean({"tie_word_embeddings"}, true);
  if (!model.tie_embeddings) config.unsupported(config.shown("tie_word_embeddings"));
  const std::string activation = config.text({"activation_function"}, "gelu_new");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh")
    config.unsupported(config.shown("activation_function") + "; only \"gelu_new\" is");
  if (!config.boolean({"scale_attn_weights"}, true))
    config.unsupported(config.shown("scale_attn_weights"));
  if (config.boolean({"scale_attn_by_inverse_layer_idx"}, false))
    config.unsupported(config.shown("scale_attn_by_inverse_layer_idx"));
  // Another order of the same operations in half precision.
  config.pass_over({"reorder_and_upcast_attn"});
  config.pass_over({"summary_activation", "summary_first_dropout", "summary_proj_to_labels",
                    "summary_type", "summary_use_proj"});
  model.dropout = config.real({"resid_pdrop"}, 0.1);
  if (config.real({"embd_pdrop"}, 0.1) != model.dropout) {
    config.unsupported(config.shown("embd_pdrop") + " beside " + config.shown("resid_pdrop") +
                       ": they are one number here");
  }
  if (config.real({"attn_pdrop"}, 0.1) != 0.0)
    config.note(config.shown("attn_pdrop") + ": attention has no dropout here");
  model.moe.assign(static_cast<size_t>(model.layers), std::nullopt);
  return model;
}

std::vector<std::string> lacks(const ModelConfig& model) {
  if (model.family != "gpt2") return {fmt::format("the family {}", model.family)};
  std::vector<std::string> list;
  if (std::any_of(model.moe.begin(), model.moe.end(), [](const auto& moe) { return !!moe; }))
    list.push_back("experts");
  if (model.window != 0) list.push_back("a window of attention");
  return list;
}

void write(const ModelConfig& model, nlohmann::ordered_json& config) {
  config["vocab_size"] = model.vocab;
  config["n_embd"] = model.dim;
  config["n_layer"] = model.layers;
  config["n_head"] = model.heads;
  config["n_positions"] = model.seq_len;
  config["n_inner"] = model.ffn_dim;
  config["activation_function"] = "gelu_new";
  config["layer_norm_epsilon"] = model.norm_eps;
  config["initializer_range"] = model.init_std;
  config["resid_pdrop"] = config["embd_pdrop"] = model.dropout;
  config["attn_pdrop"] = 0.0;
  config["tie_word_embeddings"] = true;
}

std::vector<TensorLink> links(const ModelConfig& model, const HfNaming& naming) {
  LinkList links;
  const int64_t dim = model.dim;
  const auto theirs = [&](const std::string& name) { return naming.prefix + name; };
  links.whole("embedding.weight", theirs("wte.weight"), {model.vocab, dim});
  links.whole("positions.weight", theirs("wpe.weight"), {model.seq_len, dim});
  for (int64_t layer = 0; layer < model.layers; ++layer) {
    const std::string ours = fmt::format("layers.{}.", layer);
    const std::string block = theirs(fmt::format("h.{}.", layer));
    for (const char* part : {"weight", "bias"}) {
      links.whole(ours + "attention_norm." + part, block + "ln_1." + part, {dim});
      links.whole(ours + "feed_forward_norm." + part, block + "ln_2." + part, {dim});
    }
    int64_t at = 0;
    for (const char* part : {"q", "k", "v"}) {
      const std::string name = ours + "attention." + part;
      links.turned(name + ".weight", dim, dim, block + "attn.c_attn.weight", 3 * dim, at);
      links.slice(name + ".bias", dim, block + "attn.c_attn.bias", 3 * dim, at);
      at += dim;
    }
    const auto linear = [&](const std::string& name, int64_t out, int64_t in,
                            const std::string& other) {
      links.turned(ours + name + ".weight", out, in, block + other + ".weight", out);
      links.whole(ours + name + ".bias", block + other + ".bias", {out});
    };
    linear("attention.o", dim, dim, "attn.c_proj");
    linear("feed_forward.up", model.ffn_dim, dim, "mlp.c_fc");
    linear("feed_forward.down", dim, model.ffn_dim, "mlp.c_proj");
  }
  links.whole("norm.weight", theirs("ln_f.weight"), {dim});
  links.whole("norm.bias", theirs("ln_f.bias"), {dim});
  return links.take();
}

}  // namespace

HfFamily hf_family_gpt2() {
  HfFamily family;
  family.model_type = "gpt2";
  family.architecture = "GPT2LMHeadModel";
  family.read = read;
  family.lacks = lacks;
  family.write = write;
  family.links = links;
  family.prefix = "transformer.";
  family.sure_name = "wte.weight";
  return family;
}

}  // namespace troupe
