#include "core/text/bpe_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/bpe_vocabulary.h"
#include "core/text/end_of_text.h"
#include "core/text/extra_tokens.h"
#include "core/text/tokenizer_class.h"
#include "core/text/utf8.h"

namespace troupe {
namespace {

void read_merges(std::string_view text, const std::string& place, BpeVocabulary& vocabulary) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  int64_t number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    // Only there: further down "#" is a token like any other.
    if (line.empty() || (number == 1 && line.starts_with("#version"))) continue;
    vocabulary.add_merge(line, fmt::format("{}:{}", place, number));
  }
}

// The special tokens of the class where no file says otherwise. Of a class that is only guessed,
// those that the vocabulary has.
void add_usual_parts(const TokenizerClass& kind, const BpeVocabulary& vocabulary,
                     const std::string& place, TokenizerSettings& settings) {
  for (PartToken part : kind.parts) {
    const bool said = std::any_of(settings.parts.begin(), settings.parts.end(),
                                  [&](const PartToken& other) { return other.part == part.part; });
    if (said || (!kind.named && vocabulary.id_of(part.token.content) < 0)) continue;
    part.usual = true;
    part.place =
        fmt::format("{}: the usual {}", kind.named ? settings.class_place : place, part.part);
    settings.parts.push_back(std::move(part));
  }
}

}  // namespace

std::unique_ptr<Tokenizer> parse_gpt2_files(std::string_view vocab_json, std::string_view merges,
                                            const std::string& vocab_place,
                                            const std::string& merges_place,
                                            const TokenizerSettings& given,
                                            const TokenizerOptions& options) {
  const TokenizerClass kind = tokenizer_class_of(given);
  BpeVocabulary vocabulary(parse_bounded_json(vocab_json, vocab_place), vocab_place);
  read_merges(merges, merges_place, vocabulary);
  TokenizerSettings settings = given;
  add_usual_parts(kind, vocabulary, vocab_place, settings);
  add_listed_tokens(settings, vocabulary);
  add_part_tokens(settings, vocabulary);
  // A class that is named treats as special what its files list, and nothing else.
  check_tokens_without_merges(vocabulary, !kind.named, vocab_place, merges_place);
  const EndOfText end = choose_end_of_text(options, settings, vocabulary, vocab_place);
  BpeModel model = vocabulary.finish(kind.split, false);
  model.nfc = kind.nfc;
  model.end = end;
  model.paths = {vocab_place, merges_place};
  model.paths.insert(model.paths.end(), settings.paths.begin(), settings.paths.end());
  return make_byte_level_bpe(std::move(model));
}

}  // namespace troupe
