// The parts of a tokenizer.json that prepare a text for merging: its normalizer and pre_tokenizer.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/text/split_pattern.h"

namespace troupe {

// Fails with ExitCode::data: `what`, and what is supported.
[[noreturn]] void refuse_tokenizer(const std::string& place, const std::string& what);

// True for NFC, false for none; all else is refused by name.
bool read_normalizer(const nlohmann::json& root, const std::string& place);

// How texts are split: ByteLevel by itself (GPT-2's pattern), or a Split by a known pattern before
// ByteLevel. Everything that would give other pieces is refused by name.
SplitKind read_pre_tokenizer(const nlohmann::json& root, const std::string& place);

}  // namespace troupe
