// What the files beside a vocabulary say: tokenizer_config.json, special_tokens_map.json,
// added_tokens.json, generation_config.json and config.json, as Hugging Face's libraries write
// them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/text/added_tokens.h"

namespace troupe {

// A token with its id (added_tokens.json, added_tokens_decoder).
struct ListedToken {
  AddedToken token;
  std::string place;
};

// A special token by its part ("eos_token"), without id. Empty content: there is none.
struct PartToken {
  std::string part;
  AddedToken token;
  std::string place;
  bool usual = false;  // of the class; no file says it
};

// The parts, in the order in which tokens that the vocabulary lacks get their ids.
constexpr const char* kTokenParts[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};

struct TokenizerSettings {
  std::vector<std::string> paths;  // files that were read
  std::string class_name;          // "Qwen2Tokenizer", without "Fast"; empty: not said
  std::string model_type;          // of config.json, where no class is named
  std::string class_place;
  std::optional<bool> add_prefix_space;
  std::string errors;  // what becomes of bytes that are no UTF-8 when ids are decoded
  std::string config_place;
  std::vector<ListedToken> listed;
  std::vector<PartToken> parts;   // each part once
  std::vector<PartToken> others;  // additional_special_tokens
  // eos_token_id of generation_config.json, else of config.json.
  std::vector<int64_t> end_ids;
  std::string end_ids_place;
};

// Reads those that exist. Not valid JSON, of another form, or with a key that would change ids in a
// way that is not supported: ExitCode::data.
TokenizerSettings read_tokenizer_settings(const std::string& folder);

}  // namespace troupe
