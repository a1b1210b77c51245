// The contract of a model family: what a configuration may say of it, and the parts that it
// chooses.
#pragma once

#include <string>
#include <vector>

#include "core/base/field.h"
#include "models/model/model_config.h"
#include "models/model/transformer_parts.h"

namespace troupe {

// Sizes that do not fit together: whose value breaks the rule, the others that the rule looks at
// (fields of a model), the rule with its arithmetic, values near it that are legal, and a field
// that could be given instead.
struct FamilyProblem {
  std::string field;
  std::vector<std::string> reads;
  std::string rule;
  std::string fix;
  std::string or_give = {};
};

struct FamilyDescriptor {
  std::string name;  // as in YAML
  std::string help;  // completes "NAME is ..."
  // Keys of `model` that only this family reads.
  FieldList fields;
  // The hidden width of dense layers where none is given, and the same in words.
  int64_t (*ffn_dim)(int64_t dim) = nullptr;
  std::string ffn_dim_rule;
  // Fills in what a family says of itself (see ModelConfig), from config.options and the sizes.
  // Options given as words ("auto") get their values in `resolved`.
  void (*resolve)(ModelConfig& config, Options& resolved) = nullptr;
  // Of a resolved configuration; empty when sound.
  std::vector<FamilyProblem> (*problems)(const ModelConfig& config) = nullptr;
  // Of a sound one, with one block per layer. The model, its size and what it costs follow.
  TransformerParts (*parts)(const ModelConfig& config) = nullptr;
};

}  // namespace troupe
