// Files of text for the fuzz tests: JSON lines and texts, compressed or not, changed before and
// behind the compression.
#include "core/base/error.h"
#include "core/text/text_source.h"
#include "core/text/utf8.h"
#include "tests/core/compression/compressed.h"
#include "tests/core/text/fixtures.h"
#include "tests/core/text/fuzz.h"

namespace troupe::test {
namespace {

int64_t below(FuzzRandom& random, int64_t n) {
  return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
}

template <size_t N>
std::string one_of(FuzzRandom& random, const char* const (&words)[N]) {
  return words[below(random, static_cast<int64_t>(N))];
}

std::string some_row(FuzzRandom& random) {
  static const char* const kValues[] = {
      "1",           "null", "NaN",  "-Infinity", "[1, {\"text\": 2}]", "\"x\"",
      "\"\\ud83d\"", "{}",   "true", "1e400",     "\"\xFF\"",           "[[[]]]"};
  static const char* const kTexts[] = {
      "plain", "\\u00e9\\n", "\\ud83d\\ude00", "\xC3\xA9", "\\\"quoted\\\"", "NaN", "", "\\\\"};
  std::string row = "{";
  for (int64_t fields = below(random, 3); fields > 0; --fields)
    row += "\"f" + std::to_string(fields) + "\": " + one_of(random, kValues) + ", ";
  return row + "\"text\": \"" + one_of(random, kTexts) + "\"}";
}

void change(FuzzRandom& random, std::string& bytes) {
  static const char* const kPieces[] = {"\xFF", "\\ud800", "NaN",         "\"", "\n",
                                        "{",    "}",       "\x1F\x8B",    "[",  "\r\n",
                                        ",",    "\\",      "\xEF\xBB\xBF"};
  const auto at = static_cast<size_t>(below(random, static_cast<int64_t>(bytes.size()) + 1));
  switch (below(random, 4)) {
    case 0:
      bytes.resize(at);
      break;
    case 1:
      bytes.insert(at, one_of(random, kPieces));
      break;
    case 2:
      if (at < bytes.size()) bytes[at] = static_cast<char>(random());
      break;
    default:
      bytes.erase(at, static_cast<size_t>(below(random, 20)));
      break;
  }
}

}  // namespace

// Rows as other programs put them into one file: sequences, lists, documents over several lines.
std::string some_document(FuzzRandom& random) {
  const std::string a = some_row(random);
  const std::string b = some_row(random);
  switch (below(random, 5)) {
    case 0:
      return "\x1E" + a + "\n\x1E{\n" + b.substr(1) + "\n";
    case 1:
      return "[\n" + a + ",\n" + b + "\n]\n";
    case 2:
      return "{\n" + a.substr(1) + "\n{\n" + b.substr(1) + "\n";
    case 3:
      return "{\n\"rows\": [" + a + ",\n" + b + "]\n}\n";
    default:
      return "{\n\"text\": [\"a\",\n" + a + "]\n}\n";
  }
}

std::string mutated_text_file(FuzzRandom& random) {
  std::string text;
  if (below(random, 4) == 0) text = some_document(random);
  for (int64_t lines = (text.empty() ? 1 : 0) + below(random, 6); lines > 0; --lines)
    text += (below(random, 8) == 0 ? std::string("a line of text") : some_row(random)) +
            (below(random, 8) == 0 ? "\r\n" : "\n");
  for (int64_t changes = below(random, 3); changes > 0; --changes) change(random, text);
  std::string file;
  const int64_t kind = below(random, 5);
  if (kind == 4) {
    file = text;
  } else {
    const Compression how = kCompressions[kind];
    file = compressed(how, text);
    if (below(random, 3) == 0) file += compressed(how, some_row(random));
    if (below(random, 3) == 0) change(random, file);
  }
  return file;
}

FuzzOutcome try_text_file(const std::string& bytes, const std::string& path, FuzzRandom& random) {
  write_text(path, bytes);
  TextOptions options;
  options.format = static_cast<TextFormat>(below(random, 4));
  options.invalid_utf8 = static_cast<InvalidUtf8>(below(random, 3));
  options.skip_bad_rows = below(random, 2) == 0;
  options.keep_anything = below(random, 2) == 0;
  FuzzOutcome outcome;
  try {
    const TextSource source(path, options);
    outcome.first_check = true;
    EXPECT_FALSE(source.description().empty());
    std::string text;
    const TextReport report = source.visit([&](const TextPiece& piece) { text += piece.text; });
    EXPECT_TRUE(source.has_rows() || source.text_bytes() == static_cast<int64_t>(text.size()));
    EXPECT_TRUE(options.invalid_utf8 == InvalidUtf8::keep ||
                utf8_valid_prefix(text) == text.size());
    EXPECT_TRUE(options.skip_bad_rows || report.skipped_rows == 0);
    say_what_was_met(source, report);
    outcome.accepted = true;
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::data)) << error.what();
    EXPECT_LT(std::string(error.what()).size(), 2000U) << error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "not one of ours: " << error.what();
  }
  return outcome;
}

}  // namespace troupe::test
