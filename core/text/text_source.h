// Text on disk as documents: a text file, a JSONL file, or a folder of both.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

struct TextDocument {
  std::string_view text;  // valid during the call
  std::string place;      // "file" or "file:line"
  // Byte position of the text in the source (all files one after the other); -1 for JSONL rows,
  // whose text is not what the file holds.
  int64_t position = -1;
  int64_t end = 0;      // bytes of the source that are read when this document is done
  bool marked = false;  // an end-of-text token belongs behind it (see corpus.h)
};

class TextSource {
 public:
  // Missing path, or a folder without files: ExitCode::data. field: of JSONL rows.
  TextSource(std::string path, std::string field);

  const std::string& path() const { return path_; }
  int64_t bytes() const { return bytes_; }     // of all files
  bool has_rows() const { return has_rows_; }  // some file is JSONL
  const std::vector<std::string>& files() const { return files_; }
  // Calls `visit` for each document in order. A row that is not an object with a text in `field`:
  // ExitCode::data with file and line.
  void visit(const std::function<void(const TextDocument&)>& visit) const;

 private:
  std::string path_;
  std::string field_;
  std::vector<std::string> files_;
  int64_t bytes_ = 0;
  bool has_rows_ = false;
  bool folder_ = false;
};

}  // namespace troupe
