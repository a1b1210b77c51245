// tokenizer.json as Hugging Face's tokenizers library writes it, for byte-level BPE with one of the
// known split patterns. Everything that would change ids and is not supported is refused by name.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/added_token_json.h"
#include "core/text/bpe_files.h"
#include "core/text/bpe_vocabulary.h"
#include "core/text/end_of_text.h"
#include "core/text/extra_tokens.h"
#include "core/text/json_member.h"
#include "core/text/mapped_file.h"
#include "core/text/pre_tokenizer.h"

namespace troupe {
namespace {

using nlohmann::json;

void check_model(const json& model, const std::string& place) {
  if (!model.is_object())
    fail(ExitCode::data,
         "{}: is not a tokenizer.json: it has no \"model\" (of vocab.json and merges.txt name the "
         "folder)",
         place);
  const std::string type = text_of(member(model, "type"), "BPE");  // old files leave it out
  if (type != "BPE") refuse_tokenizer(place, "its model is of type " + type);
  const json& dropout = member(model, "dropout");
  if (!dropout.is_null() && !(dropout.is_number() && dropout.get<double>() == 0.0))
    refuse_tokenizer(place, "its model has dropout");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const json& value = member(model, key);
    if (!value.is_null() && !(value.is_string() && text_of(value).empty()))
      refuse_tokenizer(place, fmt::format("its model has a {}", key));
  }
  if (flag(model, "byte_fallback", false, place))
    refuse_tokenizer(place, "its model has byte_fallback");
}

void check_rest(const json& root, const std::string& place) {
  if (!root.is_object()) refuse_tokenizer(place, "it is not an object");
  const json& decoder = member(root, "decoder");
  if (!decoder.is_null() && text_of(member(decoder, "type")) != "ByteLevel")
    refuse_tokenizer(place, "its decoder is " + text_of(member(decoder, "type"), "unknown"));
}

// Strings "a b", or pairs ["a", "b"] since version 0.20 of the library.
void read_merges(const json& merges, const std::string& place, BpeVocabulary& vocabulary) {
  if (!merges.is_array()) fail(ExitCode::data, "{}: model.merges is not a list", place);
  for (size_t i = 0; i < merges.size(); ++i) {
    const json& merge = merges[i];
    const std::string at = fmt::format("{}: model.merges[{}]", place, i);
    if (merge.is_string()) {
      vocabulary.add_merge(std::string_view(merge.get_ref<const std::string&>()), at);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      vocabulary.add_merge(merge[0].get<std::string>(), merge[1].get<std::string>(), at);
    } else {
      fail(ExitCode::data, "{}: is neither \"a b\" nor [\"a\", \"b\"]", at);
    }
  }
}

// Some vocabularies have a few tokens that no merge makes; a list that is empty or cut short leaves
// more of them than it has merges, and texts would fall into single bytes.
void check_merges(const json& merges, const BpeVocabulary& vocabulary, const std::string& place) {
  const std::vector<std::string> left = vocabulary.tokens_without_merges();
  const auto ordinary = [](const std::string& token) { return !looks_special(token); };
  const auto missing = std::count_if(left.begin(), left.end(), ordinary);
  if (missing == 0 || static_cast<size_t>(missing) <= merges.size()) return;
  fail(ExitCode::data,
       "{}: model.merges has {} merges, and none of them makes {} of the tokens, the first of them "
       "\"{}\": the list is empty, cut short or of another vocabulary",
       place, merges.size(), missing, *std::find_if(left.begin(), left.end(), ordinary));
}

void read_added(const json& list, const std::string& place, BpeVocabulary& vocabulary) {
  if (list.is_null()) return;
  if (!list.is_array()) fail(ExitCode::data, "{}: added_tokens is not a list", place);
  for (size_t i = 0; i < list.size(); ++i) {
    const json& entry = list[i];
    const std::string at = fmt::format("{}: added_tokens[{}]", place, i);
    const json& id = member(entry, "id");
    if (!id.is_number_integer() || !member(entry, "content").is_string())
      fail(ExitCode::data, "{}: needs an integer id and a content", at);
    const auto number = id.get<int64_t>();
    AddedToken token;
    token.id = number < 0 || number > INT32_MAX ? -1 : static_cast<int32_t>(number);
    token.content = text_of(member(entry, "content"));
    token.normalized = true;  // where the file does not say
    read_flags(entry, at, token);
    vocabulary.add_token(std::move(token), at);
  }
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view text, const std::string& place,
                                                const TokenizerSettings& settings,
                                                const TokenizerOptions& options) {
  const json root = parse_bounded_json(text, place);
  check_rest(root, place);
  const json& model = member(root, "model");
  check_model(model, place);
  const bool nfc = read_normalizer(root, place);
  const SplitKind split = read_pre_tokenizer(root, place);
  BpeVocabulary vocabulary(member(model, "vocab"), place);
  read_merges(member(model, "merges"), place, vocabulary);
  read_added(member(root, "added_tokens"), place, vocabulary);
  add_listed_tokens(settings, vocabulary);
  add_part_tokens(settings, vocabulary);
  const bool ignore_merges = flag(model, "ignore_merges", false, place);
  if (!ignore_merges) check_merges(member(model, "merges"), vocabulary, place);
  const EndOfText end = choose_end_of_text(options, settings, vocabulary, place);
  BpeModel made = vocabulary.finish(split, ignore_merges);
  made.nfc = nfc;
  made.end = end;
  made.paths = {place};
  made.paths.insert(made.paths.end(), settings.paths.begin(), settings.paths.end());
  return make_byte_level_bpe(std::move(made));
}

std::unique_ptr<Tokenizer> load_tokenizer_json(const std::string& path,
                                               const TokenizerOptions& options) {
  const std::filesystem::path file(path);
  TokenizerSettings settings;
  if (file.filename() == "tokenizer.json")
    settings = read_tokenizer_settings(file.has_parent_path() ? file.parent_path().string() : ".");
  return parse_tokenizer_json(MappedFile(path).bytes(), path, settings, options);
}

}  // namespace troupe
