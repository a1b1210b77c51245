// Whether a file holds one text or JSON lines: told by its beginning.
#pragma once

#include <string>
#include <string_view>

#include "core/text/file_kind.h"
#include "core/text/text_options.h"

namespace troupe {

// What stands between JSON rows: '\n', or, in a file that begins with it, the mark of a JSON text
// sequence (RFC 7464), whose rows may go on over several lines.
char row_end(std::string_view head);

// True for JSON lines. `automatic`: every complete row of the head is an object with a text in the
// field, or the file is called *.jsonl or *.ndjson (compressed or not). A file that looks like JSON
// but is not that is neither; it is not guessed at: ExitCode::data with the line and what to do.
bool holds_rows(const FileHead& head, const std::string& file, const TextOptions& options);

// How much of a file holds_rows() must see: true while `head`, which is not whole, has no complete
// row and may be the beginning of one.
bool needs_more(std::string_view head);

// *.jsonl or *.ndjson, also with the ending of a compressed file behind it.
bool is_called_jsonl(const std::string& file);

}  // namespace troupe
