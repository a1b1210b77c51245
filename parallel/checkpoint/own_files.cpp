#include "parallel/checkpoint/own_files.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/sealed_file.h"
#include "parallel/checkpoint/names.h"

namespace troupe::checkpoint {
namespace {

namespace fs = std::filesystem;

// Of the file as it is now; none where it has no sound seal.
std::optional<std::string> seal_digest(const std::string& path) {
  try {
    return digest_of(format_seal(SealedFile(path).seal())).hex();
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string without_superseded(const std::string& name) {
  return name.ends_with(kSupersededEnd) ? name.substr(0, name.size() - kSupersededEnd.size())
                                        : name;
}

}  // namespace

OwnFiles::OwnFiles(std::string folder) : folder_(std::move(folder)) { read(); }

void OwnFiles::read() {
  const fs::path path = fs::path(folder_) / kOwnFilesList;
  std::error_code error;
  if (!fs::exists(path, error)) return;
  std::ifstream lines(path);
  if (!lines) fail_io("read", path.string(), errno);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string kind, first, second;
    words >> kind >> first >> second;
    if (kind == "file" && !second.empty()) files_.emplace(second, first);
    if (kind == "folder" && !first.empty()) folders_.insert(first);
  }
}

void OwnFiles::write() const {
  std::string text;
  for (const auto& [name, digest] : files_) text += fmt::format("file {} {}\n", digest, name);
  for (const std::string& name : folders_) text += fmt::format("folder {}\n", name);
  write_file_atomically((fs::path(folder_) / kOwnFilesList).string(), text);
}

void OwnFiles::add_file(const std::string& name, const Digest& seal) {
  if (files_.emplace(name, seal.hex()).second) write();
}

void OwnFiles::add_folder(const std::string& name) {
  if (folders_.insert(name).second) write();
}

bool OwnFiles::made_file(const std::string& name) const {
  const std::string made = without_superseded(name);
  const auto first = files_.lower_bound({made, ""});
  if (first == files_.end() || first->first != made) return false;
  const auto digest = seal_digest((fs::path(folder_) / name).string());
  return digest && files_.count({made, *digest}) != 0;
}

void OwnFiles::forget_missing() {
  const auto gone = [&](const std::string& name) {
    std::error_code error;
    return fs::symlink_status(fs::path(folder_) / name, error).type() == fs::file_type::not_found;
  };
  const size_t forgotten =
      std::erase_if(
          files_,
          [&](const auto& file) { return gone(file.first) && gone(file.first + kSupersededEnd); }) +
      std::erase_if(folders_, gone);
  if (forgotten > 0) write();
}

void begin_own_files(const std::string& folder, bool earlier) {
  std::error_code error;
  if (!fs::is_directory(folder, error) || fs::exists(fs::path(folder) / kOwnFilesList, error))
    return;
  OwnFiles own(folder);
  write_file_atomically((fs::path(folder) / kOwnFilesList).string(), "");
  if (!earlier) return;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory(error)) {
      if (is_shard_folder(name)) own.add_folder(name);
    } else if (step_of(without_superseded(name))) {
      const auto digest = seal_digest(entry.path().string());
      if (digest) own.add_file(without_superseded(name), *Digest::parse(*digest));
    }
  }
}

}  // namespace troupe::checkpoint
