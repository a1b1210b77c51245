// The flags of an added token, written alike in tokenizer.json and in the files beside it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/text/added_tokens.h"
#include "core/text/json_member.h"

namespace troupe {

// Takes those that `object` has; the others stay. Not true or false: ExitCode::data.
inline void read_flags(const nlohmann::json& object, const std::string& place, AddedToken& token) {
  token.special = flag(object, "special", token.special, place);
  token.normalized = flag(object, "normalized", token.normalized, place);
  token.left_strip = flag(object, "lstrip", token.left_strip, place);
  token.right_strip = flag(object, "rstrip", token.right_strip, place);
  token.single_word = flag(object, "single_word", token.single_word, place);
}

}  // namespace troupe
