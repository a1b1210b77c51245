// Text on disk as documents: a text file, a JSON lines file, or a folder of both; compressed or
// not.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/text_options.h"

namespace troupe {

// A document comes in one or more pieces.
struct TextPiece {
  std::string_view text;  // valid during the call; empty at the end of a document of many pieces
  // Of the text's first byte in the text of all files, one after the other; -1 for JSON rows, whose
  // text is not what the file holds.
  int64_t position = -1;
  int64_t done = 0;     // bytes on disk that are read when this piece is done
  bool first = false;   // a document begins
  bool last = false;    // a document ends
  bool marked = false;  // an end-of-text token belongs behind the document (see corpus.h)
};

// What a visit met on its way.
struct TextReport {
  int64_t invalid_bytes = 0;         // of the texts, that are no UTF-8
  int64_t half_pairs = 0;            // rows in which half a surrogate pair became U+FFFD
  std::string invalid_in;            // the first file with one of these
  int64_t skipped_rows = 0;          // with skip_bad_rows
  std::vector<std::string> skipped;  // the first ten: "file:line:column: the row ..."
  void add(const TextReport& other);
};

class TextSource {
 public:
  // Looks at the beginning of each file. Missing path, a folder without files, files of other kinds
  // than text (file_kind.h), JSON that is no JSON lines (text_format.h): ExitCode::data.
  TextSource(std::string path, TextOptions options);

  const std::string& path() const { return path_; }
  const TextOptions& options() const { return options_; }
  int64_t bytes() const { return bytes_; }     // of all files on disk
  bool has_rows() const { return has_rows_; }  // some file holds JSON lines
  bool mixed() const;                          // and some one text
  const std::vector<std::string>& files() const { return files_; }
  // What was left out of a folder, in words; else empty.
  const std::string& left_out() const { return left_out_; }
  // "JSON lines (gzip)", "text", "3 files of text, 2 of JSON lines".
  std::string description() const;

  // Bytes of text as they are visited, without rows. Compressed files, and with `replace` all, are
  // read through once for it.
  int64_t text_bytes() const;
  // Calls `visit` for each piece in order. A bad row: ExitCode::data with file, line and column,
  // unless skip_bad_rows is set. Invalid UTF-8: as invalid_utf8 says; more than 1 % of a file's
  // text: ExitCode::data, unless keep_anything is set.
  TextReport visit(const std::function<void(const TextPiece&)>& visit) const;

 private:
  struct Format {
    bool rows = false;
    char row_end = '\n';
    const char* compression = nullptr;  // null = none
    int64_t text_bytes = -1;            // -1 = not known
  };
  class Visit;
  Format look_at(const std::string& file) const;

  std::string path_;
  TextOptions options_;
  std::vector<std::string> files_;
  std::vector<Format> formats_;  // of the files
  std::string left_out_;
  int64_t bytes_ = 0;
  bool has_rows_ = false;
  bool folder_ = false;
};

// Says once, on the leader, what a source left out and what a visit met.
void say_what_was_met(const TextSource& source, const TextReport& report);

}  // namespace troupe
