// Times a tokenizer on one thread beside the cheapest one (bytes) and a plain copy of the text.
#pragma once

#include <cstdint>
#include <string>

#include "core/text/tokenizer.h"

namespace troupe {

struct TokenizerBench {
  int64_t text_bytes = 0;
  int64_t tokens = 0;
  // Bytes of text per second, medians.
  double encode_rate = 0;
  double decode_rate = 0;
  double byte_encode_rate = 0;  // of the tokenizer `byte` on the same text
  double copy_rate = 0;         // memcpy of the same text
};

// Encodes and decodes the text `repeats` times each, one run of each kind first.
TokenizerBench bench_tokenizer(const Tokenizer& tokenizer, const std::string& text,
                               int64_t repeats);

// A text of about `bytes` from the tokenizer's own tokens, the shorter the likelier: for want of a
// real one. A pure function of the tokenizer.
std::string text_of_tokens(const Tokenizer& tokenizer, int64_t bytes);

}  // namespace troupe
