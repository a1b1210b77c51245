// The one table of configuration keys. It generates the checks, `troupe help KEY`, the resolved
// YAML, `check --json` and the members of RunConfig. Options of routers, optimizers and schedules
// come from the field lists declared beside their code.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/base/field.h"

namespace troupe {

struct RunConfig;
// Puts a value of a key at `path` (of a list's element "moe.balance[0].coef") where it belongs.
using StoreValue =
    std::function<void(RunConfig& config, const std::string& path, const FieldValue& value)>;
// What a word stands for, from the values of a configuration and the number of ranks.
using WordRule = std::function<FieldValue(const RunConfig& config, int world)>;

// A field with its place in a configuration; its name is the last part of its path.
struct Key : Field {
  // Dotted; the members of a list's elements carry "[]": "moe.balance[].coef".
  std::string path;
  bool has_default = true;
  bool required = false;  // without default, must be given
  std::string unit;
  bool line_breaks = false;  // of a text: line breaks and tabs may stand in it
  std::string also;          // other shapes of the place, for messages: "a list of {path, weight}"
  // Read only when the sibling key `variant_key` has this value; empty = always.
  std::string variant;
  std::string variant_key = "type";
  bool of_job = false;  // says how a job runs, not what is trained: checkpoints do not keep it
  StoreValue store;     // null for keys that only say a shape ("moe: none")
  // Words that are no values of the member. With a rule they are replaced by what it gives, once
  // everything that is no such word is stored; with an empty one they leave the member alone.
  std::map<std::string, WordRule> word_rules;
};

// Keys as a tree. A place may take several shapes: a single value (keys not empty), a mapping
// (children), a list of mappings (elements).
struct SchemaNode {
  std::string name;
  std::string path;
  std::string help;                  // of a section
  std::vector<Key> keys;             // one per variant
  std::vector<SchemaNode> children;  // members as a mapping
  std::vector<SchemaNode> elements;  // members of a list's elements
  const SchemaNode* child(const std::string& name) const;
  const SchemaNode* element(const std::string& name) const;
};

// The root node. Built once from the tables; constant afterwards.
const SchemaNode& schema();

// Node of a schema path ("moe.balance[].coef") or an actual one ("moe.balance[0].coef"); null when
// there is none.
const SchemaNode* find_schema(const std::string& path);
// Schema paths of all keys, in order.
std::vector<std::string> schema_paths();

// "integer, 1 or more", "f64 | f32 | bf16", ...
std::string describe_values(const Key& key);
// A value of this key as written in YAML.
std::string format_key_value(const Key& key, const FieldValue& value);

}  // namespace troupe
