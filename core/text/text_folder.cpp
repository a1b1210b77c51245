#include "core/text/text_folder.h"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "core/base/error.h"
#include "core/text/text_options.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), ::closedir);
  if (!open) fail(ExitCode::data, "{}: cannot be listed: {}", folder, std::strerror(errno));
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(open.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  if (errno != 0) fail(ExitCode::data, "{}: cannot be listed: {}", folder, std::strerror(errno));
  std::sort(names.begin(), names.end());
  return names;
}

struct Found {
  std::string name;
  bool folder = false;
  bool link = false;
  bool regular = false;
  bool dangling = false;
  bool empty = false;
  std::string order() const { return folder ? name + "/" : name; }
};

class Search {
 public:
  Search(const std::string& root, const TextOptions& options)
      : root_(root), by_name_(options.format == TextFormat::by_name) {}

  TextFolder run() {
    enter("", canonical(root_));
    TextFolder result;
    result.files = std::move(files_);
    for (const auto& [what, names] : left_out_) {
      result.left_out +=
          fmt::format("{}{} {} (", result.left_out.empty() ? "" : ", ", names.size(), what);
      constexpr size_t kNamed = 3;
      for (size_t i = 0; i < std::min(names.size(), kNamed); ++i)
        result.left_out += fmt::format("{}{}", i == 0 ? "" : ", ", names[i]);
      result.left_out += names.size() > kNamed ? ", ...)" : ")";
    }
    return result;
  }

 private:
  static std::string canonical(const std::string& path) {
    std::error_code error;
    const fs::path real = fs::canonical(path, error);
    if (error) fail(ExitCode::data, "{}: cannot be reached: {}", path, error.message());
    return real.string();
  }
  std::string path_of(const std::string& relative) const {
    return (fs::path(root_) / relative).string();
  }

  Found look(const std::string& relative, const std::string& name) const {
    const std::string path = path_of(relative + name);
    Found found;
    found.name = name;
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0)
      fail(ExitCode::data, "{}: cannot be read: {}", path, std::strerror(errno));
    found.link = S_ISLNK(status.st_mode);
    if (found.link && ::stat(path.c_str(), &status) != 0) {
      const int cause = errno;
      std::error_code error;
      const std::string target = fs::read_symlink(path, error).string();
      if (!by_name_)
        fail(ExitCode::data, "{}: is a link to {}: {}; remove it or mend it", path, target,
             cause == ENOENT  ? "there is nothing"
             : cause == ELOOP ? "it leads in a circle"
                              : std::strerror(cause));
      found.dangling = true;
      return found;
    }
    found.folder = S_ISDIR(status.st_mode);
    found.regular = S_ISREG(status.st_mode);
    found.empty = found.regular && status.st_size == 0;
    return found;
  }

  // relative: of the folder, empty or with "/" at its end; real: without links.
  void enter(const std::string& relative, const std::string& real) {
    std::vector<Found> entries;
    for (const std::string& name : names_in(path_of(relative))) {
      if (name.front() == '.') {
        left_out_["hidden"].push_back(relative + name);
      } else {
        entries.push_back(look(relative, name));
      }
    }
    // So that all paths below come in byte order.
    std::sort(entries.begin(), entries.end(),
              [](const Found& a, const Found& b) { return a.order() < b.order(); });
    std::set<std::string> names;
    for (const Found& entry : entries) names.insert(entry.name);
    inside_.push_back(real);
    for (const Found& entry : entries) {
      const std::string path = relative + entry.name;
      const std::string target = entry.dangling ? ""
                                 : entry.link   ? canonical(path_of(path))
                                                : (fs::path(real) / entry.name).string();
      if (entry.folder) {
        add_folder(entry, path, target);
      } else {
        add_file(entry, path, target, names);
      }
    }
    inside_.pop_back();
  }

  void add_folder(const Found& entry, const std::string& path, const std::string& target) {
    if (by_name_ && entry.link) return left_out_["linked folders"].push_back(path);
    if (std::find(inside_.begin(), inside_.end(), target) != inside_.end())
      fail(ExitCode::data,
           "{}: is a link that leads back to {}, which it stands in; remove it or give the folders "
           "one by one",
           path_of(path), target);
    if (!by_name_ && !seen_.insert(target).second)
      return left_out_["met again through links"].push_back(path);
    enter(path + "/", target);
  }

  void add_file(const Found& entry, const std::string& path, const std::string& target,
                const std::set<std::string>& names) {
    if (entry.dangling) return left_out_["links to nothing"].push_back(path);
    if (!entry.regular) return left_out_["no regular files"].push_back(path);
    if (by_name_) {
      const std::string extension = fs::path(path).extension().string();
      if (extension == ".idx" || extension == ".bin")
        fail(ExitCode::data,
             "{}: a folder of text must not hold token files; give the prefix of the .bin/.idx "
             "pair",
             path_of(path));
      return files_.push_back(path_of(path));
    }
    if (belongs_to_pair(entry.name, names))
      return left_out_["files of .bin/.idx pairs"].push_back(path);
    if (entry.empty) return left_out_["empty"].push_back(path);
    if (!seen_.insert(target).second) return left_out_["met again through links"].push_back(path);
    files_.push_back(path_of(path));
  }

  static bool belongs_to_pair(const std::string& name, const std::set<std::string>& names) {
    for (const std::string extension : {".bin", ".idx", ".meta.json"}) {
      if (!name.ends_with(extension)) continue;
      const std::string prefix = name.substr(0, name.size() - extension.size());
      if (names.count(prefix + ".bin") > 0 && names.count(prefix + ".idx") > 0) return true;
    }
    return false;
  }

  const std::string& root_;
  bool by_name_;
  std::vector<std::string> files_;
  std::map<std::string, std::vector<std::string>> left_out_;  // relative paths by what they are
  std::vector<std::string> inside_;  // folders around the place where the search is, without links
  std::set<std::string> seen_;       // files and folders that have come, without links
};

}  // namespace

TextFolder list_text_folder(const std::string& folder, const TextOptions& options) {
  return Search(folder, options).run();
}

}  // namespace troupe
