// A model in the format of Hugging Face's library: a folder with config.json and safetensors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/formats/weight_source.h"
#include "models/convert/hf_family.h"
#include "models/convert/import.h"

namespace troupe {

struct HfModel {
  std::string folder;
  const HfFamily* family = nullptr;
  std::string config;  // the text of config.json
  ModelConfig model;
  HfNaming naming;
  std::vector<std::string> notes;  // of config.json, what is left out
  std::unique_ptr<WeightSource> weights;
};

// where: a folder, a snapshot of the cache of Hugging Face's library, or one .safetensors beside
// its config.json. Error(checkpoint): a source that is not sound. Error(usage): a model that is not
// known or cannot be said here, with every key at fault.
HfModel open_hf_model(const std::string& where);

// Reads a config.json. place: for messages.
ModelConfig read_hf_config(const std::string& text, const std::string& place,
                           const HfFamily** family = nullptr,
                           std::vector<std::string>* notes = nullptr);

ImportPlan plan_hf_import(const HfModel& source, ImportType type);

// The class of Hugging Face's library that can say a model: the one named, or the first that can
// where `name` is "auto". Error(usage) with what each lacks.
const HfFamily& hf_family_for(const ModelConfig& model, const std::string& name);

// The text of config.json. source: that of the config.json which the weights were imported with, ""
// if there was none: it stays as it is where it says the same model.
std::string hf_config_text(const HfFamily& family, const ModelConfig& model,
                           const std::string& source, StoredType weights);

}  // namespace troupe
