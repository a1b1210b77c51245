#include "launch/config/build.h"

#include <algorithm>

#include "core/tensor/dtype.h"
#include "launch/config/setting_names.h"
#include "models/families/lookup/configured_model.h"
#include "moe/balance/balance.h"

namespace troupe {
namespace {

const WordRule* word_rule(const ConfigValue& entry) {
  const auto* word = std::get_if<std::string>(&entry.value);
  if (word == nullptr) return nullptr;
  const auto found = entry.key->word_rules.find(*word);
  return found == entry.key->word_rules.end() ? nullptr : &found->second;
}

void store(const ConfigValue& entry, RunConfig& config) {
  if (entry.key->store && word_rule(entry) == nullptr) {
    entry.key->store(config, entry.path, entry.value);
  }
}

// A rule may read what stands before it in the schema, and all that is no word.
void resolve_words(RunConfig& config, int world) {
  for (const ConfigValue& entry : config.values.entries()) {
    const WordRule* rule = word_rule(entry);
    if (rule == nullptr || !*rule) continue;
    config.values.resolve(entry.path, (*rule)(config, world));
    store(entry, config);
  }
}

void set_family(RunConfig& config) {
  const FamilyDescriptor& family = find_family(config.model.family);
  Options resolved = config.model.options;
  family.resolve(config.model, resolved);
  for (const Field& field : family.fields) {
    for (const std::string& word : field.words) {
      const std::string path = "model." + field.name;
      if (config.values.is_word(path, word)) {
        config.values.resolve(path, resolved.values().at(field.name));
      }
    }
  }
}

// With several routers a term acts on the layers where it has a gradient.
void drop_idle_terms(MoEConfig& moe) {
  std::erase_if(moe.balance, [&](const BalanceTerm& term) {
    return !balance_problem(term, moe.router, moe.router_options).empty();
  });
}

void set_moe_layers(RunConfig& config) {
  ModelConfig& model = config.model;
  model.moe.assign(static_cast<size_t>(model.layers), std::nullopt);
  config.moe.common.router_precision = config.moe.router_precision.value_or(wide(model.compute));
  const std::vector<RouterConfig>& routers = config.moe.routers;
  const auto put = [&](int64_t layer, const RouterConfig& router) {
    if (layer < 0 || layer >= model.layers) return;
    MoEConfig moe = config.moe.common;
    moe.router = router.type;
    moe.router_options = router.options;
    if (!routers.empty()) drop_idle_terms(moe);
    model.moe[static_cast<size_t>(layer)] = std::move(moe);
  };
  for (const int64_t layer : moe_layer_numbers(config)) {
    if (routers.empty()) put(layer, config.moe.router);
    for (const RouterConfig& router : routers) {
      const std::vector<int64_t>& served = router.layers;
      if (std::find(served.begin(), served.end(), layer) != served.end()) put(layer, router);
    }
  }
}

void set_data(RunConfig& config) {
  DataConfig& data = config.data;
  if (!data.val.empty()) data.val_fraction = 0.0;
  data.text.names = key_names;
  const bool chosen = config.values.find("data.invalid_utf8")->place.source != Source::none;
  data.text.keep_anything = chosen && data.text.invalid_utf8 == InvalidUtf8::keep;
}

}  // namespace

std::vector<int64_t> moe_layer_numbers(const RunConfig& config) {
  if (config.values.is_word("moe", "none")) return {};
  if (config.moe.layers) return *config.moe.layers;
  std::vector<int64_t> numbers;
  const int64_t every = config.moe.every;
  for (int64_t layer = config.moe.first_dense + every - 1; layer < config.model.layers;
       layer += every) {
    numbers.push_back(layer);
  }
  return numbers;
}

RunConfig build_config(ConfigValues values, int world) {
  RunConfig config;
  config.values = std::move(values);
  for (const ConfigValue& entry : config.values.entries()) store(entry, config);
  resolve_words(config, world);
  config.parallel.shape.derive_edp();
  set_family(config);
  set_moe_layers(config);
  set_data(config);
  return config;
}

}  // namespace troupe
