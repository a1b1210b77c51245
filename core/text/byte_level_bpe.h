// Byte-level BPE: special tokens are taken out, the rest is split by a fixed pattern, and inside
// each piece the bytes are merged.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/text/added_tokens.h"
#include "core/text/bpe_merge.h"
#include "core/text/split_pattern.h"
#include "core/text/tokenizer.h"

namespace troupe {

// What the files hold.
struct BpeModel {
  SplitKind split = SplitKind::gpt2;
  bool nfc = false;                 // texts are brought to Unicode's NFC first
  std::vector<std::string> tokens;  // bytes by id; empty = no token
  std::array<int32_t, 256> byte_ids{};
  std::vector<BpeMerge> merges;
  bool ignore_merges = false;  // a piece that is a token as a whole is not merged
  std::vector<AddedToken> added;
  EndOfText end;
  std::vector<std::string> paths;  // files that were read to make it
};

std::unique_ptr<Tokenizer> make_byte_level_bpe(BpeModel model);

}  // namespace troupe
