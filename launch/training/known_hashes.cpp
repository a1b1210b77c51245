#include "launch/training/known_hashes.h"

#include <fmt/core.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace troupe {

KnownHashes KnownHashes::read(const std::string& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return {};
  std::ifstream in(file, std::ios::binary);
  return parse(std::string(std::istreambuf_iterator<char>(in), {}));
}

KnownHashes KnownHashes::parse(const std::string& text) {
  KnownHashes known;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    Entry entry;
    FileStamp& stamp = entry.stamp;
    words >> std::hex >> entry.hash >> std::dec >> stamp.inode >> stamp.size >> stamp.modified >>
        stamp.changed;
    std::string path;
    if (words.get() == ' ' && std::getline(words, path)) known.entries_[path] = entry;
  }
  return known;
}

std::string KnownHashes::text() const {
  std::string out;
  for (const auto& [path, entry] : entries_) {
    out += fmt::format("{:016x} {} {} {} {} {}\n", entry.hash, entry.stamp.inode, entry.stamp.size,
                       entry.stamp.modified, entry.stamp.changed, path);
  }
  return out;
}

void KnownHashes::add(const std::string& path, const FileStamp& stamp, uint64_t hash) {
  if (path.find('\n') == std::string::npos) entries_[path] = {stamp, hash};
}

std::optional<uint64_t> KnownHashes::find(const std::string& path, const FileStamp& stamp) const {
  const auto entry = entries_.find(path);
  if (entry == entries_.end() || entry->second.stamp != stamp) return std::nullopt;
  return entry->second.hash;
}

}  // namespace troupe
