// Which token ends a text, and which ones end what a model writes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/text/bpe_vocabulary.h"
#include "core/text/tokenizer_settings.h"

namespace troupe {

// As options.end_of_text says: the text of a token, "none", "auto" or "by_name". With "auto" the
// first that says something decides: eos_token of the settings, their ids of an end, the added
// token with the first of the names that real tokenizers use. A text that is no token of its own:
// ExitCode::data, with `place`; a token that only the vocabulary has becomes an added one.
EndOfText choose_end_of_text(const TokenizerOptions& options, const TokenizerSettings& settings,
                             BpeVocabulary& vocabulary, const std::string& place);

// The id that runs from before data.end_of_text had: "by_name".
std::optional<int32_t> end_of_text_by_name(const std::vector<AddedToken>& added);

}  // namespace troupe
