// The fixed patterns that cut a text into the pieces inside which byte-level BPE merges.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

namespace troupe {

enum class SplitKind { gpt2, cl100k, qwen2 };
const char* name(SplitKind kind);

// Which known pattern a tokenizer.json writes out, in any of its spellings that split alike.
std::optional<SplitKind> split_kind_of(std::string_view pattern);

class SplitPattern {
 public:
  explicit SplitPattern(SplitKind kind);
  ~SplitPattern();
  SplitPattern(const SplitPattern&) = delete;
  SplitPattern& operator=(const SplitPattern&) = delete;

 private:
  friend class Splitter;
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

// Walks over the pieces of a text; together they are the text. A run of bytes that are no UTF-8 is
// a piece of its own.
class Splitter {
 public:
  Splitter(const SplitPattern& pattern, std::string_view text);
  ~Splitter();
  Splitter(const Splitter&) = delete;
  Splitter& operator=(const Splitter&) = delete;
  // The next piece, empty at the end. Beyond PCRE2's match limit: ExitCode::data.
  std::string_view next();

 private:
  struct State;
  const SplitPattern* pattern_;
  std::string_view rest_;
  size_t well_formed_ = 0;  // leading bytes of rest_ known to be UTF-8
  std::unique_ptr<State> state_;
};

}  // namespace troupe
