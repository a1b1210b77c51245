#include "core/text/tokenizer_settings.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/added_token_json.h"
#include "core/text/bpe_vocabulary.h"
#include "core/text/json_member.h"
#include "core/text/mapped_file.h"

namespace troupe {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// A token as text, or as an object with its flags.
AddedToken token_of(const json& value, bool special, const std::string& place) {
  AddedToken token;
  token.special = special;
  if (value.is_string()) {
    token.content = value.get<std::string>();
    return token;
  }
  if (!member(value, "content").is_string())
    fail(ExitCode::data, "{}: is neither a token nor an object with a \"content\"", place);
  token.content = text_of(member(value, "content"));
  read_flags(value, place, token);
  return token;
}

int32_t id_of(const json& value, const std::string& place) {
  if (!value.is_number_integer()) fail(ExitCode::data, "{}: its id is not an integer", place);
  const auto id = value.get<int64_t>();
  return id < 0 || id > INT32_MAX ? -1 : static_cast<int32_t>(id);
}

class SettingsReader {
 public:
  explicit SettingsReader(std::string folder) : folder_(std::move(folder)) {}

  TokenizerSettings read() {
    if (const auto root = open("tokenizer_config.json")) read_tokenizer_config(*root);
    if (const auto root = open("special_tokens_map.json")) read_parts(*root);
    if (const auto root = open("added_tokens.json")) read_added_tokens(*root);
    if (const auto root = open("generation_config.json")) read_end_ids(*root);
    if (const auto root = open("config.json")) {
      read_end_ids(*root);
      read_class(*root);
    }
    return std::move(settings_);
  }

 private:
  // The file's object, or nothing where there is no such file; `place_` is its path then.
  std::optional<json> open(const char* name) {
    const fs::path path = fs::path(folder_) / name;
    std::error_code error;
    if (!fs::is_regular_file(path, error)) return std::nullopt;
    place_ = path.string();
    settings_.paths.push_back(place_);
    json root = parse_bounded_json(MappedFile(place_).bytes(), place_);
    if (!root.is_object()) fail(ExitCode::data, "{}: is not a JSON object", place_);
    return root;
  }

  void refuse_true(const json& root, const char* key) const {
    if (flag(root, key, false, place_))
      fail(ExitCode::data,
           "{}: \"{}\" is true, which is not supported; set it to false if texts are to be "
           "tokenised without it",
           place_, key);
  }

  void read_class(const json& root) {
    if (!settings_.class_name.empty()) return;
    std::string name = text_of(member(root, "tokenizer_class"));
    if (name.ends_with("Fast")) name.resize(name.size() - 4);
    settings_.class_name = name;
    if (name.empty()) settings_.model_type = text_of(member(root, "model_type"));
    if (!name.empty() || !settings_.model_type.empty()) settings_.class_place = place_;
  }

  void read_tokenizer_config(const json& root) {
    settings_.config_place = place_;
    read_class(root);
    if (member(root, "add_prefix_space").is_boolean())
      settings_.add_prefix_space = flag(root, "add_prefix_space", false, place_);
    settings_.errors = text_of(member(root, "errors"));
    for (const char* key : {"add_prefix_space", "do_lower_case", "split_special_tokens"})
      refuse_true(root, key);
    for (const auto& item : member(root, "added_tokens_decoder").items()) {
      const std::string at = fmt::format("{}: added_tokens_decoder \"{}\"", place_, item.key());
      ListedToken listed{token_of(item.value(), false, at), at};
      const std::string& digits = item.key();
      const char* end = digits.data() + digits.size();
      if (std::from_chars(digits.data(), end, listed.token.id).ptr != end || digits.empty())
        fail(ExitCode::data, "{}: is not an id", at);
      settings_.listed.push_back(std::move(listed));
    }
    read_parts(root);
  }

  // Of two files the first that names a part says what it is.
  void read_parts(const json& root) {
    for (const char* part : kTokenParts) {
      if (!root.contains(part)) continue;
      const json& value = root[part];
      const std::string at = fmt::format("{}: {}", place_, part);
      PartToken found;
      found.part = part;
      found.place = at;
      if (!value.is_null()) found.token = token_of(value, true, at);
      const auto before = std::find_if(settings_.parts.begin(), settings_.parts.end(),
                                       [&](const PartToken& other) { return other.part == part; });
      if (before == settings_.parts.end()) {
        settings_.parts.push_back(std::move(found));
      } else if (before->token.content.empty()) {
        *before = std::move(found);
      }
    }
    for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
      const json& list = member(root, key);
      if (!list.is_array() && !list.is_object()) continue;
      for (const auto& item : list.items()) {
        const std::string at = fmt::format("{}: {}", place_, key);
        settings_.others.push_back({key, token_of(item.value(), true, at), at});
      }
    }
  }

  void read_added_tokens(const json& root) {
    for (const auto& item : root.items()) {
      const std::string at = fmt::format("{}: \"{}\"", place_, item.key());
      const auto same = [&](const ListedToken& listed) {
        return listed.token.content == item.key();
      };
      const int32_t id = id_of(item.value(), at);
      const auto before = std::find_if(settings_.listed.begin(), settings_.listed.end(), same);
      if (before != settings_.listed.end()) {
        if (before->token.id != id)
          fail(ExitCode::data, "{} has id {}, but {} gives it id {}; remove the one that is wrong",
               at, id, before->place, before->token.id);
        continue;
      }
      AddedToken token;
      token.id = id;
      token.content = item.key();
      settings_.listed.push_back({std::move(token), at});
    }
  }

  // One id or a list of them.
  void read_end_ids(const json& root) {
    const json& value = member(root, "eos_token_id");
    if (!settings_.end_ids.empty() || value.is_null()) return;
    settings_.end_ids_place = place_;
    const json list = value.is_array() ? value : json::array({value});
    for (const json& id : list) {
      if (!id.is_number_integer())
        fail(
            ExitCode::data,
            "{}: eos_token_id is {}; write whole numbers without quotes and point, as 2 or [2, 3], "
            "or null",
            place_, value.dump(-1, ' ', true, json::error_handler_t::replace));
      settings_.end_ids.push_back(id.get<int64_t>());
    }
  }

  std::string folder_;
  std::string place_;
  TokenizerSettings settings_;
};

}  // namespace

TokenizerSettings read_tokenizer_settings(const std::string& folder) {
  return SettingsReader(folder).read();
}

}  // namespace troupe
