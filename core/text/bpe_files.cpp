#include "core/text/bpe_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/bpe_vocabulary.h"

namespace troupe {
namespace {

void read_merges(std::string_view text, const std::string& place, BpeVocabulary& vocabulary) {
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

}  // namespace

std::unique_ptr<Tokenizer> parse_gpt2_files(std::string_view vocab_json, std::string_view merges,
                                            const std::string& vocab_place,
                                            const std::string& merges_place) {
  BpeVocabulary vocabulary(parse_bounded_json(vocab_json, vocab_place), vocab_place);
  read_merges(merges, merges_place, vocabulary);
  const std::string end = "<|endoftext|>";  // GPT-2's only special token
  const int32_t id = vocabulary.id_of(end);
  if (id >= 0) vocabulary.add_token({id, end, true, false}, vocab_place);
  BpeModel model = vocabulary.finish(SplitKind::gpt2, false);
  model.paths = {vocab_place, merges_place};
  return make_byte_level_bpe(std::move(model));
}

}  // namespace troupe
