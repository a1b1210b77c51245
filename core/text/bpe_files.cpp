#include "core/text/bpe_files.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/bpe_vocabulary.h"
#include "core/text/mapped_file.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

// The first of the names that exists in the folder, or nothing.
std::string first_file(const std::string& folder, std::initializer_list<const char*> names) {
  std::error_code error;
  for (const char* name : names) {
    const fs::path path = fs::path(folder) / name;
    if (fs::is_regular_file(path, error)) return path.string();
  }
  return {};
}

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
  return make_byte_level_bpe(vocabulary.finish(SplitKind::gpt2, false));
}

std::unique_ptr<Tokenizer> load_bpe_folder(const std::string& folder) {
  const std::string whole = first_file(folder, {"tokenizer.json"});
  if (!whole.empty()) return load_tokenizer_json(whole);
  const std::string vocab = first_file(folder, {"vocab.json", "encoder.json"});
  const std::string merges = first_file(folder, {"merges.txt", "vocab.bpe"});
  if (vocab.empty() || merges.empty())
    fail(
        ExitCode::data,
        "{}: the folder holds no tokenizer: {} missing (tokenizer.json would do alone)", folder,
        vocab.empty() && merges.empty()
            ? "vocab.json (or encoder.json) and merges.txt (or vocab.bpe) are"
            : (vocab.empty() ? "vocab.json (or encoder.json) is" : "merges.txt (or vocab.bpe) is"));
  return parse_gpt2_files(MappedFile(vocab).bytes(), MappedFile(merges).bytes(), vocab, merges);
}

}  // namespace troupe
