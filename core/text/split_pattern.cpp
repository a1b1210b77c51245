#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/text/split_pattern.h"

#include <pcre2.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "core/base/error.h"
#include "core/text/utf8.h"

namespace troupe {
namespace {

// Each pattern as the files write it, with other spellings that split every text alike.
struct Spelling {
  SplitKind kind;
  std::string_view pattern;
};
constexpr Spelling kSpellings[] = {
    {SplitKind::gpt2,
     R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitKind::gpt2, R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"},
    {SplitKind::cl100k,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {SplitKind::cl100k,
     R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {SplitKind::cl100k,
     R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"},
    {SplitKind::qwen2,
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
};

std::string_view first_spelling(SplitKind kind) {
  return std::find_if(std::begin(kSpellings), std::end(kSpellings),
                      [&](const Spelling& spelling) { return spelling.kind == kind; })
      ->pattern;
}

// PCRE2's \s also takes U+180E, which Unicode's White_Space (what the patterns mean) does not.
constexpr std::string_view kSpace = R"(\x09-\x0d\x20\x{85}\p{Z})";

std::string with_unicode_space(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (c == '\\' && (next == 's' || next == 'S')) {
      out +=
          in_class ? std::string(kSpace) : (next == 's' ? "[" : "[^") + std::string(kSpace) + "]";
      ++i;
    } else {
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace

const char* name(SplitKind kind) {
  return kind == SplitKind::gpt2 ? "GPT-2" : kind == SplitKind::cl100k ? "cl100k" : "Qwen2";
}

std::optional<SplitKind> split_kind_of(std::string_view pattern) {
  for (const Spelling& spelling : kSpellings)
    if (spelling.pattern == pattern) return spelling.kind;
  return std::nullopt;
}

struct SplitPattern::Compiled {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  bool jit = false;
  ~Compiled() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

SplitPattern::SplitPattern(SplitKind kind) : compiled_(std::make_unique<Compiled>()) {
  const std::string pattern = with_unicode_space(first_spelling(kind));
  int error = 0;
  PCRE2_SIZE at = 0;
  // Anchored: the alternatives cover every character, so each piece begins where the last ended.
  compiled_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                  PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &at, nullptr);
  require(compiled_->code != nullptr, "split pattern: PCRE2 error {} at {}", error, at);
  compiled_->jit = pcre2_jit_compile(compiled_->code, PCRE2_JIT_COMPLETE) == 0;
  compiled_->context = pcre2_match_context_create(nullptr);
  require(compiled_->context != nullptr, "split pattern: out of memory");
  // No piece needs more than a few steps a character and no nesting; a run longer than this is
  // refused rather than waited for.
  pcre2_set_match_limit(compiled_->context, 1'000'000'000);
  pcre2_set_depth_limit(compiled_->context, 1000);
  pcre2_set_heap_limit(compiled_->context, 64 * 1024);  // KiB
}

SplitPattern::~SplitPattern() = default;

struct Splitter::State {
  explicit State(const pcre2_code* code)
      : match(pcre2_match_data_create_from_pattern(code, nullptr)) {}
  ~State() { pcre2_match_data_free(match); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  pcre2_match_data* match;
};

Splitter::Splitter(const SplitPattern& pattern, std::string_view text)
    : pattern_(&pattern),
      rest_(text),
      well_formed_(utf8_valid_prefix(text)),
      state_(std::make_unique<State>(pattern.compiled_->code)) {
  require(state_->match != nullptr, "split pattern: out of memory");
}

Splitter::~Splitter() = default;

std::string_view Splitter::next() {
  if (rest_.empty()) return {};
  size_t length = 0;
  if (well_formed_ == 0) {
    while (length < rest_.size()) {
      const Utf8Step step = utf8_step(rest_.substr(length, 4));
      if (step.valid) break;
      length += step.length;
    }
    well_formed_ = utf8_valid_prefix(rest_.substr(length)) + length;
  } else {
    const SplitPattern::Compiled& compiled = *pattern_->compiled_;
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(rest_.data());
    const int found = compiled.jit
                          ? pcre2_jit_match(compiled.code, subject, well_formed_, 0,
                                            PCRE2_NO_UTF_CHECK, state_->match, compiled.context)
                          : pcre2_match(compiled.code, subject, well_formed_, 0, PCRE2_NO_UTF_CHECK,
                                        state_->match, compiled.context);
    if (found <= 0)
      fail(ExitCode::data,
           "the text cannot be split into pieces for BPE (PCRE2 error {}) {} bytes before its end: "
           "a run of {} bytes or less is too long",
           found, rest_.size(), well_formed_);
    length = pcre2_get_ovector_pointer(state_->match)[1];
  }
  require(length > 0, "split pattern: empty piece");
  const std::string_view piece = rest_.substr(0, length);
  rest_.remove_prefix(length);
  well_formed_ -= length;
  return piece;
}

}  // namespace troupe
