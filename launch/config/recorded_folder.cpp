#include "launch/config/recorded_folder.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "core/text/byte_escape.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
constexpr const char* kRecord = "# Paths of files are relative to this place, or were so in ";

// A file, a folder, or the prefix of a .bin/.idx pair.
bool exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error) || fs::exists(path.string() + ".idx", error);
}

}  // namespace

std::string folder_record(const std::string& folder) {
  std::error_code error;
  std::string absolute = fs::weakly_canonical(fs::absolute(folder), error).string();
  if (error) return {};
  while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return kRecord + escape_bytes(absolute) + "\n";
}

std::string recorded_folder(const std::string& text) {
  // Before the first key.
  for (size_t begin = 0; begin < text.size() && text[begin] == '#';) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    if (line.rfind(kRecord, 0) == 0) {
      return unescape_bytes(line.substr(std::string(kRecord).size())).value_or("");
    }
    begin = end + 1;
  }
  return {};
}

std::string without_record(const std::string& text) {
  if (recorded_folder(text).empty()) return text;
  std::string out = text;
  for (size_t begin = 0; begin < out.size() && out[begin] == '#';) {
    const size_t end = std::min(out.find('\n', begin), out.size());
    out.erase(begin + 1, end - begin - 1);
    begin += 2;
  }
  return out;
}

std::vector<std::string> find_moved_files(Sheet& sheet, const std::string& text) {
  std::vector<std::string> missing;
  const fs::path recorded = recorded_folder(text);
  if (recorded.empty()) return missing;
  const fs::path here =
      (fs::current_path() / fs::path(sheet.file).parent_path()).lexically_normal();
  const std::vector<Entry> entries = sheet.entries();
  for (const Entry& entry : entries) {
    if (entry.key->kind != ValueKind::path || entry.word() || entry.place.source != Source::file) {
      continue;
    }
    const std::string value = std::get<std::string>(entry.value);
    if (exists(value)) continue;
    const fs::path expected = fs::absolute(value).lexically_normal();
    const std::string original =
        (recorded / expected.lexically_relative(here)).lexically_normal().string();
    if (exists(original)) {
      sheet.replace(entry.path, original);
    } else if (original != expected) {
      missing.push_back(fmt::format("{}: found neither {} nor, from where the run was before, {}",
                                    entry.path, value, original));
    }
  }
  return missing;
}

}  // namespace troupe
