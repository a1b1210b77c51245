#include <filesystem>

#include "core/base/error.h"
#include "core/text/bpe_files.h"
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

}  // namespace

std::unique_ptr<Tokenizer> load_bpe_folder(const std::string& folder,
                                           const TokenizerOptions& options) {
  const std::string whole = first_file(folder, {"tokenizer.json"});
  if (!whole.empty()) return load_tokenizer_json(whole, options);
  const std::string vocab = first_file(folder, {"vocab.json", "encoder.json"});
  const std::string merges = first_file(folder, {"merges.txt", "vocab.bpe"});
  if (vocab.empty() || merges.empty())
    fail(
        ExitCode::data,
        "{}: the folder holds no tokenizer: {} missing (tokenizer.json would do alone)", folder,
        vocab.empty() && merges.empty()
            ? "vocab.json (or encoder.json) and merges.txt (or vocab.bpe) are"
            : (vocab.empty() ? "vocab.json (or encoder.json) is" : "merges.txt (or vocab.bpe) is"));
  return parse_gpt2_files(MappedFile(vocab).bytes(), MappedFile(merges).bytes(), vocab, merges,
                          read_tokenizer_settings(folder), options);
}

}  // namespace troupe
