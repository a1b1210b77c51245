// The classes of tokenizers that a vocab.json and a merges.txt may belong to, and what each does
// with a text.
#pragma once

#include <vector>

#include "core/text/split_pattern.h"
#include "core/text/tokenizer_settings.h"

namespace troupe {

struct TokenizerClass {
  SplitKind split = SplitKind::gpt2;
  bool nfc = false;
  std::vector<PartToken> parts;  // special tokens where no file says otherwise
  bool named = false;            // false: taken for GPT-2's as nothing says what it is
};

// The class that the settings name, else the one of config.json's model_type, else GPT-2's. One
// that is not known, or settings of it that are not supported: ExitCode::data.
TokenizerClass tokenizer_class_of(const TokenizerSettings& settings);

}  // namespace troupe
