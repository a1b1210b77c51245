// Readers of byte-level BPE vocabularies: GPT-2's two files and tokenizer.json, with what lies
// beside them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/text/tokenizer.h"
#include "core/text/tokenizer_settings.h"

namespace troupe {

std::unique_ptr<Tokenizer> load_bpe_folder(const std::string& folder,
                                           const TokenizerOptions& options);
// Files beside one that is called tokenizer.json are read too.
std::unique_ptr<Tokenizer> load_tokenizer_json(const std::string& path,
                                               const TokenizerOptions& options);

// The same from memory; a place is the path of a text's file.
std::unique_ptr<Tokenizer> parse_gpt2_files(std::string_view vocab_json, std::string_view merges,
                                            const std::string& vocab_place,
                                            const std::string& merges_place,
                                            const TokenizerSettings& settings = {},
                                            const TokenizerOptions& options = {});
std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view json, const std::string& place,
                                                const TokenizerSettings& settings = {},
                                                const TokenizerOptions& options = {});

}  // namespace troupe
