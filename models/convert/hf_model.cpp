#include "models/convert/hf_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/base/error.h"
#include "core/formats/json_source.h"
#include "core/formats/safetensors_folder.h"
#include "core/formats/source_file.h"
#include "models/convert/hf_families/table.h"
#include "models/families/lookup/configured_model.h"

namespace troupe {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr int64_t kMostConfigBytes = 8LL << 20;

std::string known_types() {
  std::vector<std::string> names;
  for (const HfFamily& family : hf_families()) names.push_back(family.model_type);
  return fmt::format("{}", fmt::join(names, ", "));
}

// A tensor that older versions of the library wrote and that holds no weights (rotary frequencies,
// masks).
bool is_hf_buffer(const std::string& name) {
  for (const char* ending :
       {"rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias", "_extra_state"}) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

// By the names that are there.
HfNaming naming_of(const WeightSource& weights, const HfFamily& family) {
  HfNaming naming;
  naming.fused_experts =
      std::any_of(weights.tensors().begin(), weights.tensors().end(),
                  [](const SavedTensor& t) { return t.name.ends_with(".experts.gate_up_proj"); });
  if (weights.find(family.prefix + family.sure_name) != nullptr ||
      weights.find(family.sure_name) == nullptr) {
    naming.prefix = family.prefix;
  }
  return naming;
}

// A model of many layers and experts is not listed for a source that has few tensors: the list
// would fill the memory.
void check_count(const HfModel& source) {
  int64_t described = source.model.layers;
  if (!source.naming.fused_experts) {
    for (const auto& moe : source.model.moe) described += moe ? moe->experts : 0;
  }
  const auto held = static_cast<int64_t>(source.weights->tensors().size());
  if (described > held) {
    fail(ExitCode::checkpoint,
         "{}: config.json describes a model of more than {} tensors, the files hold {}",
         source.folder, described, held);
  }
}

ordered_json written_config(const HfFamily& family, const ModelConfig& model) {
  ordered_json config;
  config["architectures"] = {family.architecture};
  config["model_type"] = family.model_type;
  family.write(model, config);
  return config;
}

const char* torch_name(StoredType type) {
  if (type == StoredType::bf16) return "bfloat16";
  if (type == StoredType::f16) return "float16";
  return type == StoredType::f64 ? "float64" : "float32";
}

}  // namespace

ModelConfig read_hf_config(const std::string& text, const std::string& place,
                           const HfFamily** family, std::vector<std::string>* notes) {
  const json root = parse_json_object(text, place);
  const auto type = root.find("model_type");
  if (type == root.end() || !type->is_string())
    fail(ExitCode::checkpoint, "{}: lacks \"model_type\"", place);
  const HfFamily* found = find_hf_family(type->get<std::string>());
  if (found == nullptr) {
    fail(ExitCode::usage, "{}: \"model_type\" {} is not known here. Known are {}", place,
         shown_name(type->get<std::string>()), known_types());
  }
  HfConfigReader reader(root, place);
  reader.pass_over({"model_type"});
  if (!reader.object("quantization_config").empty())
    reader.unsupported(reader.shown("quantization_config") + ": weights that are quantised");
  ModelConfig model = found->read(reader);
  reader.finish();
  if (family != nullptr) *family = found;
  if (notes != nullptr) *notes = reader.notes();
  return model;
}

HfModel open_hf_model(const std::string& where) {
  HfModel out;
  out.weights = open_safetensors(where);
  out.folder = model_folder(where);
  const std::string place = (std::filesystem::path(out.folder) / "config.json").string();
  out.config = read_source(place, kMostConfigBytes);
  out.model = read_hf_config(out.config, place, &out.family, &out.notes);
  out.naming = naming_of(*out.weights, *out.family);
  check_count(out);
  return out;
}

ImportPlan plan_hf_import(const HfModel& source, ImportType type) {
  std::map<std::string, std::string> tied;
  if (source.model.tie_embeddings)
    tied["lm_head.weight"] = source.naming.prefix + source.family->sure_name;
  return plan_import(*source.weights, model_parameters(source.model, Parallelism{}),
                     source.family->links(source.model, source.naming), type, is_hf_buffer, tied);
}

const HfFamily& hf_family_for(const ModelConfig& model, const std::string& name) {
  std::vector<std::string> lines;
  for (const HfFamily& family : hf_families()) {
    if (name != "auto" && name != family.model_type) continue;
    const std::vector<std::string> lacks = family.lacks(model);
    if (lacks.empty()) return family;
    lines.push_back(fmt::format("{} has not: {}", family.model_type, fmt::join(lacks, "; ")));
  }
  if (lines.empty())
    fail(ExitCode::usage, "no class is named {}. Known are {}", name, known_types());
  fail(ExitCode::usage, "no class of Hugging Face's library can say this model:\n  {}",
       fmt::join(lines, "\n  "));
}

std::string hf_config_text(const HfFamily& family, const ModelConfig& model,
                           const std::string& source, StoredType weights) {
  ordered_json config = written_config(family, model);
  if (!source.empty()) {
    const HfFamily* stored = nullptr;
    const ModelConfig before = read_hf_config(source, "the stored config.json", &stored);
    if (stored == &family && written_config(family, before) == config)
      config = ordered_json::parse(source);
  }
  config.erase("torch_dtype");
  config["dtype"] = torch_name(weights);
  return config.dump(2) + "\n";
}

}  // namespace troupe
