// Token ids on disk without an index: llm.c's .bin files (a header of 1,024 bytes, then ids), and
// bare ones as nanoGPT writes them (ids and nothing else). They say neither where documents end nor
// which tokenizer made them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/text/token_stream.h"

namespace troupe {

// The integers of a bare file.
enum class RawType { u16, u32 };

// Do the bytes, or those of a file, begin with a header of llm.c? False for what cannot be read.
bool begins_like_llm_c(std::string_view bytes);
bool is_llm_c_file(const std::string& path);

// The ids of a file, mapped, as one document; u32 are read as i32, so ids from 2^31 on are refused
// when they are read. bare: what the integers are where the file has no header of llm.c; nothing =
// it must have one. A header of another version, a file that is shorter or longer than its header
// says or than whole integers, what is plainly something else (text, NumPy, the other integer):
// ExitCode::data.
TokenStream open_raw_tokens(const std::string& path, std::optional<RawType> bare);

}  // namespace troupe
