// Append-only file of a run's logs. Disk trouble must not stop a training, so nothing here throws:
// records that could not be written are counted, with one warning for the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace troupe {

class LogFile {
 public:
  // Opens for appending; `what` names the records in the warning ("metrics rows").
  LogFile(std::filesystem::path path, std::string what);
  ~LogFile();
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // Writes the whole record to the file (one write call where the system takes it whole). After a
  // torn write the next record first cuts the torn part away. Returns false if it was dropped.
  bool append(std::string_view record);
  int64_t dropped() const { return dropped_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  bool open();
  bool drop(const char* doing);

  std::filesystem::path path_;
  std::string what_;
  int descriptor_ = -1;
  int64_t size_ = 0;   // bytes of whole records
  bool torn_ = false;  // part of a record lies behind them
  int64_t dropped_ = 0;
};

// The file's bytes; empty when it cannot be read.
std::string read_bytes(const std::filesystem::path& path);

// Makes `keep` the file's content: cut in place when it is how the file begins (needs no disk
// space), else by replace_file. Warns on trouble. Removes what a killed replace_file left.
void keep_only(const std::filesystem::path& path, std::string_view content, std::string_view keep);

// Replaces the file's content by a temporary file in the same directory, flushed to disk and
// renamed: a kill at any moment leaves the old or the new content. Returns false on disk trouble,
// with `problem` set.
bool replace_file(const std::filesystem::path& path, std::string_view content,
                  std::string& problem);

}  // namespace troupe
