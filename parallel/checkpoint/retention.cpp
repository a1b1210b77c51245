#include "parallel/checkpoint/retention.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <tuple>
#include <vector>

#include "core/base/error.h"
#include "core/io/sealed_file.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/names.h"
#include "parallel/checkpoint/own_files.h"
#include "parallel/checkpoint/shard_files.h"
#include "parallel/checkpoint/stored.h"

namespace troupe::checkpoint {
namespace {

namespace fs = std::filesystem;

bool is_left_over(const std::string& name) {
  return name.ends_with(".tmp") && step_of(name.substr(0, name.size() - 4)).has_value();
}

// Of a file that is no sound checkpoint: it cannot be read, or is damaged, or is called like one of
// HDF5 and is none any more. Other files, of whatever kind, never were manifests.
bool may_be_manifest(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string words(std::string_view("troupe checkpoint").size(), 0);
  if (!file ||
      (!file.read(words.data(), static_cast<std::streamsize>(words.size())) && !file.eof())) {
    return true;
  }
  if (words.starts_with("\x89HDF")) return false;  // another program's: ours begin with a seal
  return words == "troupe checkpoint" || path.filename().string().find(".h5") != std::string::npos;
}

// What the files of a folder refer to.
struct References {
  std::set<std::string> folders;    // of shards, by name
  std::set<fs::path> linked;        // files that links in the folder lead to
  std::vector<std::string> unread;  // names of files that may refer to any shards
};

References references_in(const std::string& folder) {
  References found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_symlink(error)) {
      const fs::path target = fs::canonical(entry.path(), error);
      if (!error) found.linked.insert(target);
    }
    const fs::file_status status = fs::status(entry.path(), error);
    if (status.type() == fs::file_type::none) found.unread.push_back(name);
    if (!fs::is_regular_file(status) || is_left_over(name) || name == kOwnFilesList) continue;
    try {
      const SealedFile sealed(entry.path().string());
      const std::string text = shards_text(sealed);
      if (!text.empty()) found.folders.insert(parse_manifest(text, sealed.path()).folder);
    } catch (const Error&) {
      if (may_be_manifest(entry.path())) found.unread.push_back(name);
    }
  }
  return found;
}

// The unread file that may be a manifest of this folder; "" without one. A file that is called as
// the run calls them is that of its own step.
std::string possible_manifest(const References& references, const std::string& shards) {
  const std::string stem = shards.substr(0, shards.rfind(".shards"));
  for (const std::string& name : references.unread) {
    const size_t end = name.find(".h5");
    const bool of_a_step = end != std::string::npos && step_of(name.substr(0, end + 3)).has_value();
    if (!of_a_step || name.substr(0, end) == stem) return name;
  }
  return {};
}

using Warnings = std::set<std::string>;

void remove(const std::string& path, Warnings& warnings) {
  std::error_code error;
  if (!fs::remove(path, error) && error) {
    warnings.insert(fmt::format("cannot remove the old checkpoint {}: {}", path, error.message()));
  }
}

// Names in the order in which they go: superseded ones before the others, older ones first.
std::vector<std::string> own_checkpoints(const std::string& folder, const OwnFiles& own) {
  std::vector<std::tuple<bool, int64_t, std::string>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool superseded = name.ends_with(kSupersededEnd);
    const std::optional<int64_t> step =
        step_of(superseded ? name.substr(0, name.size() - kSupersededEnd.size()) : name);
    if (step && !entry.is_symlink(error) && own.made_file(name)) {
      found.emplace_back(!superseded, *step, name);
    }
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> names;
  for (auto& [current, step, name] : found) names.push_back(std::move(name));
  return names;
}

void remove_unused_shards(const std::string& folder, const OwnFiles& own, Warnings& warnings) {
  const References references = references_in(folder);
  std::vector<std::string> unused;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (is_shard_folder(name) && !entry.is_symlink(error) && entry.is_directory(error) &&
        own.made_folder(name) && references.folders.count(name) == 0) {
      unused.push_back(name);
    }
  }
  for (const std::string& name : unused) {
    const std::string path = (fs::path(folder) / name).string();
    const std::string unread = possible_manifest(references, name);
    if (!unread.empty()) {
      warnings.insert(
          fmt::format("{} stays: {} cannot be read, and may be its manifest", path, unread));
    } else if (const std::error_code left = remove_shards(path)) {
      warnings.insert(fmt::format("cannot remove the shards {}: {}", path, left.message()));
    }
  }
}

void remove_what_is_old(const std::string& folder, int64_t keep, Warnings& warnings) {
  OwnFiles own(folder);
  const References references = references_in(folder);
  const std::vector<std::string> names = own_checkpoints(folder, own);
  for (size_t i = 0; keep > 0 && i + static_cast<size_t>(keep) < names.size(); ++i) {
    const fs::path path = fs::path(folder) / names[i];
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    if (!error && references.linked.count(real) == 0) remove(path.string(), warnings);
  }
  std::error_code error;
  std::vector<std::string> left_over;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (is_left_over(entry.path().filename().string())) left_over.push_back(entry.path().string());
  }
  for (const std::string& path : left_over) remove(path, warnings);
  remove_unused_shards(folder, own, warnings);
  own.forget_missing();
}

}  // namespace

void remove_old(const std::string& folder, int64_t keep, SaveWarnings& warnings) {
  Warnings found;
  try {
    remove_what_is_old(folder, keep, found);
  } catch (const std::exception& error) {
    found.insert(fmt::format("old checkpoints in {} were not removed: {}", folder, error.what()));
  }
  warnings.say("old checkpoints", std::move(found));
}

}  // namespace troupe::checkpoint
