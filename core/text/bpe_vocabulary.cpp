#include "core/text/bpe_vocabulary.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/byte_alphabet.h"

namespace troupe {
namespace {

// The largest vocabularies in use have some 260,000 tokens; the table by id stays small.
constexpr int64_t kMaxId = (int64_t{1} << 22) - 1;

// Depth outside of strings, before the parser builds anything.
void check_depth(std::string_view text, const std::string& place) {
  constexpr int kMaxDepth = 64;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth)
        fail(ExitCode::data, "{}: is nested deeper than {} levels", place, kMaxDepth);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

// For messages: a token as the file writes it, shortened.
std::string shown(std::string_view token) {
  return token.size() <= 40 ? std::string(token) : std::string(token.substr(0, 40)) + "...";
}

}  // namespace

nlohmann::json parse_bounded_json(std::string_view text, const std::string& place) {
  constexpr size_t kMaxBytes = size_t{64} << 20;
  if (text.size() > kMaxBytes)
    fail(ExitCode::data, "{}: has {} bytes; tokenizer files of up to {} are read", place,
         text.size(), kMaxBytes);
  check_depth(text, place);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& cause) {
    fail(ExitCode::data, "{}: is not valid JSON: {}", place, cause.what());
  }
}

BpeVocabulary::BpeVocabulary(const nlohmann::json& vocab, std::string place)
    : place_(std::move(place)) {
  if (!vocab.is_object() || vocab.empty())
    fail(ExitCode::data, "{}: the vocabulary is not an object of token to id", place_);
  ids_.reserve(vocab.size());
  for (const auto& item : vocab.items()) {
    if (!item.value().is_number_integer())
      fail(ExitCode::data, "{}: the id of token \"{}\" is not an integer", place_,
           shown(item.key()));
    // Beyond int64 (unsigned in the file) reads as negative.
    const auto id = item.value().get<int64_t>();
    if (id < 0 || id > kMaxId)
      fail(ExitCode::data, "{}: token \"{}\" has id {}; ids from 0 to {} can be used", place_,
           shown(item.key()), id, kMaxId);
    if (item.key().empty()) fail(ExitCode::data, "{}: id {} is an empty token", place_, id);
    const auto index = static_cast<size_t>(id);
    if (index >= model_.tokens.size()) model_.tokens.resize(index + 1);
    if (!model_.tokens[index].empty())
      fail(ExitCode::data, "{}: id {} is given twice, the second time to token \"{}\"", place_, id,
           shown(item.key()));
    // A string outside the byte alphabet can only be an added token, and stands for itself.
    model_.tokens[index] = alphabet_to_bytes(item.key()).value_or(item.key());
    ids_.emplace(item.key(), static_cast<int32_t>(id));
  }
}

int32_t BpeVocabulary::id_of(const std::string& token) const {
  const auto found = ids_.find(token);
  return found == ids_.end() ? -1 : found->second;
}

std::string BpeVocabulary::token_of(int64_t id) const {
  const bool known = id >= 0 && id < static_cast<int64_t>(model_.tokens.size());
  return known ? model_.tokens[static_cast<size_t>(id)] : std::string();
}

const AddedToken* BpeVocabulary::added(const std::string& content) const {
  for (const AddedToken& token : model_.added)
    if (token.content == content) return &token;
  return nullptr;
}

void BpeVocabulary::mark_special(const std::string& content) {
  for (AddedToken& token : model_.added)
    if (token.content == content) token.special = true;
}

int32_t BpeVocabulary::next_id() const {
  auto next = static_cast<int32_t>(model_.tokens.size());
  for (const AddedToken& token : model_.added) next = std::max(next, token.id + 1);
  return next;
}

std::vector<std::string> BpeVocabulary::tokens_without_merges() const {
  std::unordered_set<int32_t> made = added_ids_;
  for (const BpeMerge& merge : model_.merges) made.insert(merge.result);
  std::vector<std::pair<int32_t, std::string>> left;
  for (const auto& [token, id] : ids_) {
    const bool is_byte = model_.tokens[static_cast<size_t>(id)].size() == 1;
    if (!is_byte && !made.contains(id)) left.emplace_back(id, token);
  }
  std::sort(left.begin(), left.end());
  std::vector<std::string> tokens;
  for (auto& [id, token] : left) tokens.push_back(std::move(token));
  return tokens;
}

void BpeVocabulary::add_merge(const std::string& left, const std::string& right,
                              const std::string& place) {
  const BpeMerge merge{id_of(left), id_of(right), id_of(left + right)};
  for (const auto& [id, token] : {std::pair(merge.left, left), std::pair(merge.right, right),
                                  std::pair(merge.result, left + right)})
    if (id < 0)
      fail(ExitCode::data,
           "{}: the merge of \"{}\" and \"{}\" needs token \"{}\", which is not in "
           "the vocabulary",
           place, shown(left), shown(right), shown(token));
  model_.merges.push_back(merge);
}

void BpeVocabulary::add_merge(std::string_view line, const std::string& place) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos)
    fail(ExitCode::data, "{}: \"{}\" is not a merge (two tokens with one space between them)",
         place, shown(line));
  add_merge(std::string(line.substr(0, space)), std::string(line.substr(space + 1)), place);
}

void BpeVocabulary::add_token(AddedToken token, const std::string& place) {
  if (token.content.empty()) fail(ExitCode::data, "{}: an added token is empty", place);
  if (token.id < 0 || token.id > kMaxId)
    fail(ExitCode::data, "{}: added token \"{}\" has id {}; ids from 0 to {} can be used", place,
         shown(token.content), token.id, kMaxId);
  const int32_t known = id_of(token.content);
  const auto index = static_cast<size_t>(token.id);
  const bool taken = index < model_.tokens.size() && !model_.tokens[index].empty();
  if ((known >= 0 && known != token.id) || (known < 0 && taken) ||
      !added_ids_.insert(token.id).second || !added_contents_.insert(token.content).second)
    fail(ExitCode::data,
         "{}: added token \"{}\" has id {}, which does not agree with the rest of "
         "the vocabulary",
         place, shown(token.content), token.id);
  // "\u0120" as an added token would be written like the token of a space.
  if (known >= 0 && model_.tokens[index] != token.content)
    fail(ExitCode::data, "{}: added token \"{}\" is written like a token of other bytes", place,
         shown(token.content));
  model_.added.push_back(std::move(token));
}

BpeModel BpeVocabulary::finish(SplitKind split, bool ignore_merges) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string token = bytes_to_alphabet(std::string(1, static_cast<char>(byte)));
    const int32_t id = id_of(token);
    if (id < 0)
      fail(ExitCode::data,
           "{}: the vocabulary has no token \"{}\" for byte {:#04x}; byte-level BPE "
           "needs all 256",
           place_, token, byte);
    model_.byte_ids[static_cast<size_t>(byte)] = id;
  }
  model_.split = split;
  model_.ignore_merges = ignore_merges;
  return std::move(model_);
}

}  // namespace troupe
