// The keys of each section, in the order in which they are shown.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "launch/config/schema.h"
#include "launch/config/variants.h"

namespace troupe {

std::vector<Key> run_keys();
std::vector<Key> model_keys();
std::vector<Key> moe_keys();
std::vector<Key> data_keys();
std::vector<Key> optimizer_keys();
std::vector<Key> schedule_keys();
std::vector<Key> train_keys();
std::vector<Key> parallel_keys();
std::vector<Key> machine_keys();  // precision, checkpoint, eval, logging, runtime, bench

// Help sentences of sections and of places that take several shapes: (path, text).
std::vector<std::pair<std::string, std::string>> section_help();

// Where the options of a chosen type are kept.
using OptionsOf = std::function<Options&(RunConfig& config, const std::string& path)>;
// A key from a field of a field list: `prefix`.name under variant `type`.
Key key_of_field(const std::string& prefix, const std::string& variant, const Field& field,
                 OptionsOf options);

struct Chosen {
  std::string* type;
  Options* options;
};
using ChosenOf = std::function<Chosen(RunConfig& config, const std::string& path)>;
// Stores a type and begins with the defaults of its options.
StoreValue type_of(std::vector<Variant> variants, ChosenOf chosen);

}  // namespace troupe
