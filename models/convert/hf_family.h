// A class of models of Hugging Face's library: what its config.json says, and its tensors.
// models/convert/hf_families/NAME.cpp must define `HfFamily hf_family_NAME()`.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/convert/hf_config_reader.h"
#include "models/convert/tensor_link.h"
#include "models/model/model_config.h"

namespace troupe {

// How the tensors of a file are named.
struct HfNaming {
  bool fused_experts = false;  // all experts of a layer in one tensor, as in memory
  std::string prefix;          // before every name
};

struct HfFamily {
  std::string model_type;    // in config.json
  std::string architecture;  // the class
  // The model that a config.json describes. What is wrong or cannot be said is noted in the reader,
  // and a harmless value put in its place.
  ModelConfig (*read)(HfConfigReader& config) = nullptr;
  // What of a model the class cannot say, in words; empty when it says all.
  std::vector<std::string> (*lacks)(const ModelConfig& model) = nullptr;
  // Keys of config.json, besides model_type and architectures.
  void (*write)(const ModelConfig& model, nlohmann::ordered_json& config) = nullptr;
  std::vector<TensorLink> (*links)(const ModelConfig& model, const HfNaming& naming) = nullptr;
  // The prefix with which the class writes all names but those without one.
  std::string prefix;
  // A name that every model of the class has, by which the prefix is found.
  std::string sure_name;
};

}  // namespace troupe
