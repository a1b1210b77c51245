#include "core/text/text_source.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/absent_path.h"
#include "core/base/error.h"
#include "core/text/mapped_file.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

bool is_jsonl(const std::string& path) {
  const std::string extension = fs::path(path).extension().string();
  return extension == ".jsonl" || extension == ".ndjson";
}

// Regular files below a folder in byte order of their relative paths; hidden ones are left out.
std::vector<std::string> files_below(const std::string& folder) {
  std::vector<std::string> relative;
  std::error_code error;
  fs::recursive_directory_iterator next(folder, error);
  for (; !error && next != fs::recursive_directory_iterator(); next.increment(error)) {
    const fs::path& path = next->path();
    if (path.filename().string().front() == '.') {
      next.disable_recursion_pending();
      continue;
    }
    const std::string extension = path.extension().string();
    if (!next->is_regular_file(error)) continue;
    if (extension == ".idx" || extension == ".bin")
      fail(ExitCode::data,
           "{}: a folder of text must not hold token files; give the prefix of the .bin/.idx pair",
           path.string());
    relative.push_back(path.lexically_relative(folder).string());
  }
  if (error) fail(ExitCode::data, "{}: cannot be listed: {}", folder, error.message());
  std::sort(relative.begin(), relative.end());
  std::vector<std::string> files;
  for (const std::string& path : relative) files.push_back((fs::path(folder) / path).string());
  return files;
}

std::string row_text(std::string_view line, const std::string& field, const std::string& place) {
  try {
    const auto row = nlohmann::json::parse(line);
    if (!row.is_object()) fail(ExitCode::data, "{}: the row is not a JSON object", place);
    const auto found = row.find(field);
    if (found == row.end()) {
      std::string names;
      for (const auto& item : row.items()) names += (names.empty() ? "" : ", ") + item.key();
      fail(ExitCode::data, "{}: the row has no field \"{}\"; its fields are: {}", place, field,
           names);
    }
    if (!found->is_string()) fail(ExitCode::data, "{}: field \"{}\" is not a text", place, field);
    return found->get<std::string>();
  } catch (const nlohmann::json::exception& cause) {
    fail(ExitCode::data, "{}: the row is not valid JSON: {}", place, cause.what());
  }
}

void visit_rows(std::string_view bytes, const std::string& file, int64_t position,
                const std::string& field, const std::function<void(const TextDocument&)>& visit) {
  int64_t number = 0;
  while (!bytes.empty()) {
    ++number;
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    const std::string_view line = bytes.substr(0, end);
    const size_t taken = std::min(end + 1, bytes.size());
    bytes.remove_prefix(taken);
    position += static_cast<int64_t>(taken);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string place = fmt::format("{}:{}", file, number);
    const std::string text = row_text(line, field, place);
    visit({text, place, -1, position, true});
  }
}

}  // namespace

TextSource::TextSource(std::string path, std::string field)
    : path_(std::move(path)), field_(std::move(field)) {
  std::error_code error;
  const fs::file_status status = fs::status(path_, error);
  if (!fs::exists(status))
    fail(
        ExitCode::data,
        "{}: {} (a text file, a .jsonl file, a folder or the prefix of a .bin/.idx pair is needed)",
        path_, why_absent(path_));
  folder_ = fs::is_directory(status);
  if (folder_) {
    files_ = files_below(path_);
    if (files_.empty()) fail(ExitCode::data, "{}: the folder holds no files", path_);
  } else {
    files_ = {path_};
  }
  for (const std::string& file : files_) {
    has_rows_ = has_rows_ || is_jsonl(file);
    const uintmax_t size = fs::file_size(file, error);
    if (!error) bytes_ += static_cast<int64_t>(size);  // visit() reports what cannot be read
  }
}

void TextSource::visit(const std::function<void(const TextDocument&)>& visit) const {
  int64_t position = 0;
  for (const std::string& path : files_) {
    const MappedFile file(path);
    const auto size = static_cast<int64_t>(file.bytes().size());
    if (is_jsonl(path)) {
      visit_rows(file.bytes(), path, position, field_, visit);
    } else if (!file.bytes().empty()) {
      visit({file.bytes(), path, position, position + size, folder_});
    }
    position += size;
  }
}

}  // namespace troupe
