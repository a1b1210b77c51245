#include "core/text/end_of_text.h"

#include <algorithm>
#include <span>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/text/utf8.h"

namespace troupe {
namespace {

constexpr const char* kNames[] = {"<|endoftext|>",
                                  "<|end_of_text|>",
                                  "</s>",  // the names of by_name
                                  "<eos>",
                                  "[EOS]",
                                  "<EOS>",
                                  "<|eos|>",
                                  "<|EOS|>",
                                  "<eos_token>",
                                  "<EOS_TOKEN>",
                                  "<|im_end|>",
                                  ("<\xEF\xBD\x9C"
                                   "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"),
                                  "<|end_of_sentence|>",
                                  "<end_of_text>",
                                  "<eod>",
                                  "<EOD>",
                                  "<|eod|>",
                                  "<|endofdocument|>",
                                  "<eot>",
                                  "<EOT>",
                                  "<|eot|>",
                                  "<|eot_id|>",
                                  "<end_of_turn>",
                                  "<|end_of_turn|>",
                                  "<|END_OF_TURN_TOKEN|>",
                                  "<|return|>",
                                  "<|end|>"};
constexpr size_t kByName = 3;

const AddedToken* named(const std::vector<AddedToken>& added, std::span<const char* const> names) {
  for (const char* name : names)
    for (const AddedToken& token : added)
      if (token.content == name) return &token;
  return nullptr;
}

bool is_added(const std::vector<AddedToken>& added, int64_t id) {
  return std::any_of(added.begin(), added.end(),
                     [&](const AddedToken& token) { return token.id == id; });
}

// The token that a configuration asks for.
int32_t wanted_token(const TokenizerOptions& options, BpeVocabulary& vocabulary,
                     const std::string& place) {
  const std::string& wanted = options.end_of_text;
  const std::string setting = setting_name(options.names, "end_of_text");
  if (const AddedToken* token = vocabulary.added(wanted)) return token->id;
  const std::vector<std::string> apart = vocabulary.tokens_without_merges();
  if (std::find(apart.begin(), apart.end(), wanted) != apart.end()) {
    AddedToken token;
    token.id = vocabulary.id_of(wanted);
    token.content = wanted;
    token.special = true;
    vocabulary.add_token(std::move(token), place);
    return vocabulary.id_of(wanted);
  }
  if (vocabulary.id_of(wanted) >= 0)
    fail(
        ExitCode::data,
        "{}: {} \"{}\" is an ordinary token, which stands inside texts too; name a special one, or "
        "let {} stand between rows",
        place, setting, wanted, setting_name(options.names, "separator"));
  std::string names;
  for (const AddedToken& token : vocabulary.all_added()) {
    if (names.size() > 300) {
      names += ", ...";
      break;
    }
    names += (names.empty() ? "" : ", ") + token.content;
  }
  fail(ExitCode::data, "{}: has no token \"{}\", which {} names; its added tokens: {}", place,
       wanted, setting, names.empty() ? "none" : names);
}

}  // namespace

std::optional<int32_t> end_of_text_by_name(const std::vector<AddedToken>& added) {
  const AddedToken* token = named(added, std::span(kNames).first(kByName));
  return token == nullptr ? std::nullopt : std::optional(token->id);
}

namespace {

// What the files say, else what the class usually has, else the names.
EndOfText automatic_end(const TokenizerSettings& settings, const std::vector<AddedToken>& added) {
  EndOfText end;
  const auto take = [&](int64_t id, const std::string& origin) {
    if (end.id) return;
    end.id = static_cast<int32_t>(id);
    end.origin = origin;
  };
  const auto take_part = [&](bool usual) {
    for (const PartToken& part : settings.parts)
      for (const AddedToken& token : added)
        if (part.part == "eos_token" && part.usual == usual && part.token.content == token.content)
          take(token.id, part.place);
  };
  take_part(false);
  for (const int64_t id : settings.end_ids)
    if (is_added(added, id)) take(id, settings.end_ids_place + ": eos_token_id");
  take_part(true);
  if (const AddedToken* token = named(added, kNames)) take(token->id, "its name");
  if (end.id) end.stop.push_back(*end.id);
  for (const int64_t id : settings.end_ids)
    if (is_added(added, id) && id != end.id) end.stop.push_back(static_cast<int32_t>(id));
  return end;
}

// An id of the files that is no added token cannot end a text.
void say_what_was_passed_over(const TokenizerSettings& settings, const BpeVocabulary& vocabulary,
                              const EndOfText& end, SettingNames names) {
  const std::string instead = end.id ? fmt::format("{} ends texts", end.origin)
                                     : fmt::format("nothing does; {} can name a special token",
                                                   setting_name(names, "end_of_text"));
  for (const int64_t id : settings.end_ids) {
    if (is_added(vocabulary.all_added(), id)) continue;
    const std::string token = utf8_replaced(vocabulary.token_of(id));
    log::info("{}: eos_token_id {} is {} and ends no text ({})", settings.end_ids_place, id,
              token.empty()
                  ? "no token of the vocabulary"
                  : fmt::format("\"{}\", an ordinary token that stands inside texts,", token),
              instead);
  }
}

}  // namespace

EndOfText choose_end_of_text(const TokenizerOptions& options, const TokenizerSettings& settings,
                             BpeVocabulary& vocabulary, const std::string& place) {
  const std::string& wanted = options.end_of_text;
  if (wanted == "none") return {};
  if (wanted == "by_name") {
    const std::optional<int32_t> id = end_of_text_by_name(vocabulary.all_added());
    return id ? EndOfText{id, {*id}, "its name"} : EndOfText{};
  }
  const EndOfText automatic = automatic_end(settings, vocabulary.all_added());
  if (wanted == "auto") {
    say_what_was_passed_over(settings, vocabulary, automatic, options.names);
    return automatic;
  }
  const int32_t id = wanted_token(options, vocabulary, place);
  if (id == automatic.id) return automatic;
  return {id, {id}, setting_name(options.names, "end_of_text")};
}

}  // namespace troupe
