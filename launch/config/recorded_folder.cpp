#include "launch/config/recorded_folder.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "core/text/byte_escape.h"
#include "launch/config/record_lines.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
constexpr const char* kRecord = "# Paths of files are relative to this place, or were so in ";
constexpr const char* kStored = "# Paths are written out: $ and ~ in them stand for themselves.";

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
  const std::vector<std::string> rests = record_lines(text, kRecord);
  return rests.empty() ? "" : unescape_bytes(rests.front()).value_or("");
}

std::string stored_mark() { return std::string(kStored) + "\n"; }

bool is_stored(const std::string& text) {
  return !record_lines(text, kStored).empty() || !record_lines(text, kRecord).empty();
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

std::vector<std::string> find_moved_files(ConfigValues& values, const std::string& text) {
  std::vector<std::string> missing;
  const fs::path recorded = recorded_folder(text);
  if (recorded.empty()) return missing;
  const fs::path here =
      (fs::current_path() / fs::path(values.file).parent_path()).lexically_normal();
  const std::vector<ConfigValue> entries = values.entries();
  for (const ConfigValue& entry : entries) {
    if (entry.key->type != FieldType::path || entry.word() || entry.place.source != Source::file) {
      continue;
    }
    const std::string value = std::get<std::string>(entry.value);
    if (exists(value)) continue;
    const fs::path expected = fs::absolute(value).lexically_normal();
    const std::string original =
        (recorded / expected.lexically_relative(here)).lexically_normal().string();
    if (exists(original)) {
      values.replace(entry.path, original);
    } else if (original != expected) {
      missing.push_back(fmt::format("{}: found neither {} nor, from where the run was before, {}",
                                    entry.path, value, original));
    }
  }
  return missing;
}

}  // namespace troupe
