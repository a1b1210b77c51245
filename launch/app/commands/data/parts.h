// The actions of `troupe data`, and what they share.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/text/token_file.h"
#include "core/text/tokenizer.h"
#include "launch/app/command_line.h"

namespace troupe {

int data_build(const Arguments& arguments);
int data_inspect(const Arguments& arguments);
int data_verify(const Arguments& arguments);

// The prefix of the .bin/.idx pair that the first positional names. Errors: code 3 where there is
// none.
std::string pair_prefix(const Arguments& arguments);

// With the end of text that a pair was built with.
TokenizerOptions options_of(const std::optional<TokenFileOrigin>& origin);

// The tokenizer NAME, with the end of text that a pair was built with. Errors: code 3.
std::unique_ptr<Tokenizer> load_for(const std::optional<TokenFileOrigin>& origin,
                                    const std::string& name, const std::string& prefix);

}  // namespace troupe
