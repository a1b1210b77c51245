#include "launch/config/model_text.h"

#include <fmt/format.h>

#include <vector>

#include "launch/config/scalar.h"

namespace troupe {
namespace {

class Section {
 public:
  explicit Section(const std::string& name) : text_(name + ":\n") {}
  void add(const std::string& key, const FieldValue& value) {
    text_ += fmt::format("  {}: {}\n", key, format_value(value));
  }
  void add(const std::string& key, const char* word) { add(key, FieldValue(std::string(word))); }
  void open(const std::string& key) { text_ += fmt::format("  {}:\n", key); }
  void add_inner(const std::string& key, const FieldValue& value) {
    text_ += fmt::format("    {}: {}\n", key, format_value(value));
  }
  void add_list(const std::string& key, const std::vector<int64_t>& values) {
    text_ += fmt::format("  {}: [{}]\n", key, fmt::join(values, ", "));
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string experts_text(const ModelConfig& model) {
  std::vector<int64_t> layers;
  const MoEConfig* experts = nullptr;
  for (size_t i = 0; i < model.moe.size(); ++i) {
    if (!model.moe[i]) continue;
    layers.push_back(static_cast<int64_t>(i));
    experts = &*model.moe[i];
  }
  if (experts == nullptr) return {};
  Section moe("moe");
  if (layers.size() < model.moe.size()) moe.add_list("layers", layers);
  moe.add("experts", experts->experts);
  moe.add("ffn_dim", experts->ffn_dim);
  moe.open("router");
  moe.add_inner("type", FieldValue(experts->router));
  for (const auto& [name, value] : experts->router_options.values()) moe.add_inner(name, value);
  if (experts->shared_experts > 0) {
    moe.add("shared_experts", experts->shared_experts);
    moe.add("shared_ffn_dim", experts->shared_ffn_dim);
  }
  return moe.text();
}

}  // namespace

std::string model_text(const ModelConfig& model) {
  Section section("model");
  section.add("family", FieldValue(model.family));
  section.add("layers", model.layers);
  section.add("dim", model.dim);
  section.add("heads", model.heads);
  for (const auto& [name, value] : model.options.values()) section.add(name, value);
  section.add("ffn_dim", model.ffn_dim);
  section.add("seq_len", model.seq_len);
  section.add("vocab", model.vocab);
  section.add("norm_eps", model.norm_eps);
  if (model.dropout > 0) section.add("dropout", model.dropout);
  if (model.window > 0) section.add("window", model.window);
  section.add("init_std", model.init_std);
  const std::string experts = experts_text(model);
  return section.text() + (experts.empty() ? "" : "\n") + experts;
}

}  // namespace troupe
