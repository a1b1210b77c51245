// One file of text, opened: its bytes from the beginning to the end, decompressed where they are
// compressed, in pieces.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/compression/compression.h"
#include "core/compression/decompressor.h"
#include "core/text/mapped_file.h"
#include "core/text/text_options.h"

namespace troupe {

// Where a text may be cut near byte `at`: a cut inside a UTF-8 character moves back to its
// beginning; bytes that are no UTF-8 stay put.
size_t character_begin(std::string_view text, size_t at);

class TextFile {
 public:
  // Missing, unreadable or not a regular file: ExitCode::data. By name nothing is decompressed and
  // a byte order mark stays.
  TextFile(const std::string& path, const TextOptions& options);

  // The next piece, about a MiB, valid until the next call; empty at the end. It begins and ends
  // between characters. The byte order mark is left out. Damaged compressed files: ExitCode::data.
  std::string_view next();

  Compression compression() const { return compression_; }
  int64_t size() const { return static_cast<int64_t>(file_.bytes().size()); }  // on disk
  int64_t text_size() const;  // bytes that next() gives in all; not for compressed files
  int64_t position() const;   // bytes on disk that are done

 private:
  std::string_view next_bytes();

  MappedFile file_;
  Compression compression_ = Compression::none;
  std::unique_ptr<Decompressor> unpacked_;  // null when nothing is compressed
  std::string buffer_;                      // of decompressed bytes
  size_t given_ = 0;                        // of the mapped bytes, or of the buffer
  bool drained_ = false;                    // the buffer has all that is left
  bool leave_mark_out_ = false;
  bool begun_ = false;
};

}  // namespace troupe
