// Tokens that no merge makes: those of the files beside a vocabulary, and special ones that stand
// only in the vocabulary.
#pragma once

#include <string>
#include <string_view>

#include "core/text/bpe_vocabulary.h"
#include "core/text/tokenizer_settings.h"

namespace troupe {

// "<s>", "<|im_end|>", "[PAD]", "<｜end▁of▁sentence｜>": what tokens of control look like.
bool looks_special(std::string_view content);

// Tokens with ids. One that the vocabulary has already must have the same id and flags.
void add_listed_tokens(const TokenizerSettings& settings, BpeVocabulary& vocabulary);

// Special tokens by their part. What the vocabulary lacks gets the next ids in this order, as in
// Hugging Face's libraries.
void add_part_tokens(const TokenizerSettings& settings, BpeVocabulary& vocabulary);

// Of the tokens that neither a byte nor a merge makes, those that look special are added if
// `add_special` (else texts never become them); any other shows that merges are missing:
// ExitCode::data.
void check_tokens_without_merges(BpeVocabulary& vocabulary, bool add_special,
                                 const std::string& vocab_place, const std::string& merges_place);

}  // namespace troupe
