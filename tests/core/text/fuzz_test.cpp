#include "tests/core/text/fuzz.h"

#include <cstdlib>
#include <filesystem>

#include "core/base/log.h"
#include "tests/core/text/fixtures.h"

namespace troupe::test {
namespace {

// 2,000 in the fast tests; the slow one asks for 100,000.
int64_t cases() {
  const char* wanted = std::getenv("TROUPE_FUZZ_CASES");
  return wanted == nullptr ? 2000 : std::atoll(wanted);
}

TEST(Fuzz, TokenIndex) {
  fuzz("token index", cases(), [](FuzzRandom& random) {
    const IndexCase one = mutated_index(random);
    return try_index(one.idx, one.bin_bytes);
  });
}

TEST(Fuzz, TokenizerJson) {
  fuzz("tokenizer.json", cases(),
       [](FuzzRandom& random) { return try_tokenizer_json(mutated_tokenizer_json(random)); });
}

TEST(Fuzz, Gpt2Files) {
  fuzz("GPT-2 files", cases(),
       [](FuzzRandom& random) { return try_merges(mutated_merges(random)); });
}

TEST(Fuzz, TextFiles) {
  const TemporaryDirectory folder;
  log::configure(log::Level::error, 0, true);
  fuzz("text files", cases(), [&](FuzzRandom& random) {
    const std::string bytes = mutated_text_file(random);
    return try_text_file(bytes, folder / "case", random);
  });
  log::configure(log::Level::info, 0, true);
}

// Inputs that failed once, and some that look dangerous; each must be refused or read.
TEST(Fuzz, Corpus) {
  const std::string corpus = std::string(TROUPE_SOURCE_DIR) + "/tests/core/text/corpus/";
  const auto each = [&](const char* folder, const std::function<void(const std::string&)>& read) {
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(corpus + folder)) {
      SCOPED_TRACE(entry.path().string());
      read(read_text(entry.path().string()));
      ++files;
    }
    EXPECT_GT(files, 0) << folder;
  };
  each("index", [](const std::string& text) { try_index(text, 8); });
  each("tokenizer_json", [](const std::string& text) { try_tokenizer_json(text); });
  each("merges", [](const std::string& text) { try_merges(text); });
}

}  // namespace
}  // namespace troupe::test
