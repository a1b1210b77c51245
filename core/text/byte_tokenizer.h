// One id per byte: 256 ids, no special tokens.
#pragma once

#include <memory>

#include "core/text/tokenizer.h"

namespace troupe {

std::unique_ptr<Tokenizer> make_byte_tokenizer();

}  // namespace troupe
