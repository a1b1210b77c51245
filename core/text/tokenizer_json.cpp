// tokenizer.json as Hugging Face's tokenizers library writes it, for byte-level BPE with one of the
// known split patterns. Everything that would change ids and is not supported is refused by name.
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/bpe_files.h"
#include "core/text/bpe_vocabulary.h"
#include "core/text/mapped_file.h"

namespace troupe {
namespace {

using nlohmann::json;

// A member, or null when it is missing or `object` is no object.
const json& member(const json& object, const char* key) {
  static const json null;
  if (!object.is_object()) return null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

std::string text_of(const json& value, const std::string& otherwise = {}) {
  return value.is_string() ? value.get<std::string>() : otherwise;
}

bool flag(const json& object, const char* key, bool otherwise, const std::string& place) {
  const json& value = member(object, key);
  if (value.is_null()) return otherwise;
  if (!value.is_boolean()) fail(ExitCode::data, "{}: \"{}\" is neither true nor false", place, key);
  return value.get<bool>();
}

[[noreturn]] void refuse(const std::string& place, const std::string& what) {
  fail(ExitCode::data,
       "{}: {}; supported is byte-level BPE with the GPT-2 or the cl100k (Llama-3) split pattern",
       place, what);
}

void check_byte_level(const json& step, const std::string& place) {
  if (flag(step, "add_prefix_space", true, place))
    refuse(place, "its pre_tokenizer adds a space in front (add_prefix_space)");
}

SplitKind split_of_sequence(const json& steps, const std::string& place) {
  if (!steps.is_array() || steps.size() != 2 || text_of(member(steps[0], "type")) != "Split" ||
      text_of(member(steps[1], "type")) != "ByteLevel")
    refuse(place, "its pre_tokenizer is a sequence other than Split, ByteLevel");
  const json& split = steps[0];
  if (text_of(member(split, "behavior")) != "Isolated" || flag(split, "invert", false, place))
    refuse(place, "its Split is not of behavior Isolated");
  const json& pattern = member(member(split, "pattern"), "Regex");
  const auto kind = split_kind_of(text_of(pattern));
  if (!kind) refuse(place, "its split pattern is not known: " + text_of(pattern, "not a Regex"));
  check_byte_level(steps[1], place);
  if (flag(steps[1], "use_regex", true, place))
    refuse(place, "its pre_tokenizer splits twice (use_regex behind a Split)");
  return *kind;
}

SplitKind read_pre_tokenizer(const json& root, const std::string& place) {
  const json& step = member(root, "pre_tokenizer");
  const std::string type = text_of(member(step, "type"), "null");
  if (type == "Sequence") return split_of_sequence(member(step, "pretokenizers"), place);
  if (type != "ByteLevel") refuse(place, "its pre_tokenizer is " + type);
  check_byte_level(step, place);
  if (!flag(step, "use_regex", true, place))
    refuse(place, "its pre_tokenizer does not split (use_regex false)");
  return SplitKind::gpt2;
}

void check_model(const json& model, const std::string& place) {
  if (!model.is_object())
    fail(ExitCode::data,
         "{}: is not a tokenizer.json: it has no \"model\" (of vocab.json and merges.txt name the "
         "folder)",
         place);
  const std::string type = text_of(member(model, "type"), "BPE");  // old files leave it out
  if (type != "BPE") refuse(place, "its model is of type " + type);
  const json& dropout = member(model, "dropout");
  if (!dropout.is_null() && !(dropout.is_number() && dropout.get<double>() == 0.0))
    refuse(place, "its model has dropout");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const json& value = member(model, key);
    if (!value.is_null() && !(value.is_string() && text_of(value).empty()))
      refuse(place, fmt::format("its model has a {}", key));
  }
  if (flag(model, "byte_fallback", false, place)) refuse(place, "its model has byte_fallback");
}

void check_rest(const json& root, const std::string& place) {
  if (!root.is_object()) refuse(place, "it is not an object");
  const json& normalizer = member(root, "normalizer");
  if (!normalizer.is_null())
    refuse(place, "its normalizer is " + text_of(member(normalizer, "type"), "unknown"));
  const json& decoder = member(root, "decoder");
  if (!decoder.is_null() && text_of(member(decoder, "type")) != "ByteLevel")
    refuse(place, "its decoder is " + text_of(member(decoder, "type"), "unknown"));
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

void read_added(const json& list, const std::string& place, BpeVocabulary& vocabulary) {
  if (list.is_null()) return;
  if (!list.is_array()) fail(ExitCode::data, "{}: added_tokens is not a list", place);
  for (size_t i = 0; i < list.size(); ++i) {
    const json& entry = list[i];
    const std::string at = fmt::format("{}: added_tokens[{}]", place, i);
    const json& id = member(entry, "id");
    if (!id.is_number_integer() || !member(entry, "content").is_string())
      fail(ExitCode::data, "{}: needs an integer id and a content", at);
    for (const char* key : {"single_word", "lstrip", "rstrip"})
      if (flag(entry, key, false, at)) refuse(at, fmt::format("it has {}", key));
    const auto number = id.get<int64_t>();
    vocabulary.add_token({number < 0 || number > INT32_MAX ? -1 : static_cast<int32_t>(number),
                          text_of(member(entry, "content")), flag(entry, "special", false, at),
                          flag(entry, "normalized", true, at)},
                         at);
  }
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view text, const std::string& place) {
  const json root = parse_bounded_json(text, place);
  check_rest(root, place);
  const json& model = member(root, "model");
  check_model(model, place);
  const SplitKind split = read_pre_tokenizer(root, place);
  BpeVocabulary vocabulary(member(model, "vocab"), place);
  read_merges(member(model, "merges"), place, vocabulary);
  read_added(member(root, "added_tokens"), place, vocabulary);
  BpeModel made = vocabulary.finish(split, flag(model, "ignore_merges", false, place));
  made.paths = {place};
  return make_byte_level_bpe(std::move(made));
}

std::unique_ptr<Tokenizer> load_tokenizer_json(const std::string& path) {
  return parse_tokenizer_json(MappedFile(path).bytes(), path);
}

}  // namespace troupe
