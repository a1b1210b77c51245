// The steps that both kinds of BPE files share: from token strings and merges to a BpeModel, with
// every rule checked.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/text/byte_level_bpe.h"

namespace troupe {

// Parses JSON of at most 64 MiB and 64 levels; otherwise ExitCode::data, as for all below.
nlohmann::json parse_bounded_json(std::string_view text, const std::string& place);

class BpeVocabulary {
 public:
  // vocab: an object of token string -> id.
  BpeVocabulary(const nlohmann::json& vocab, std::string place);

  // Adds the next merge (by token strings).
  void add_merge(const std::string& left, const std::string& right, const std::string& place);
  // Adds "left right".
  void add_merge(std::string_view line, const std::string& place);
  // An added token; its id may be that of the same string in the vocabulary, or a free one.
  void add_token(AddedToken token, const std::string& place);
  // -1: not in the vocabulary.
  int32_t id_of(const std::string& token) const;
  // The bytes of an ordinary token, "" for an id without one.
  std::string token_of(int64_t id) const;
  // The added token of that content, or null.
  const AddedToken* added(const std::string& content) const;
  const std::vector<AddedToken>& all_added() const { return model_.added; }
  // Of an added token: it is one of control.
  void mark_special(const std::string& content);
  // Behind all ids that are in use.
  int32_t next_id() const;
  // Tokens that are no byte, no result of a merge and not added, by their ids.
  std::vector<std::string> tokens_without_merges() const;
  // Checks that every byte has a token.
  BpeModel finish(SplitKind split, bool ignore_merges);

 private:
  std::string place_;
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_set<int32_t> added_ids_;
  std::unordered_set<std::string> added_contents_;
  BpeModel model_;
};

}  // namespace troupe
