// Files that hold no text, known by their bytes and not by their names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace troupe {

// A file's beginning: the first MiB, decompressed.
struct FileHead {
  std::string_view bytes;
  bool whole = false;  // that is all of it
};

struct OtherKind {
  std::string what;    // "a PDF document"
  std::string advice;  // "extract its text, for example with pdftotext"
};

// What a file seems to be that is no text in UTF-8; nothing for text.
std::optional<OtherKind> other_kind(const FileHead& head);

}  // namespace troupe
