#include "launch/training/run_directory.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/atomic_file.h"
#include "parallel/comm/agreement.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kResolvedConfig = "config.resolved.yaml";

// Nothing, or the lock of a run that was killed before it wrote anything else.
bool unused(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return true;
  fs::directory_iterator entry(path, error);
  const fs::directory_iterator end;
  while (!error && entry != end && entry->path().filename() == ".lock") entry.increment(error);
  if (error) fail_io("list", path.string(), error.value());
  return entry == end;
}

void set_aside(const fs::path& path) {
  if (unused(path)) return;
  std::error_code error;
  if (!fs::exists(path / kResolvedConfig, error)) {
    fail(ExitCode::usage,
         "run.dir = {}: checkpoint.resume is never, but this is not the directory of a run (it "
         "holds no {}): it is "
         "left alone. Give another run.dir",
         path.string(), kResolvedConfig);
  }
  { const DirectoryLock nobody_else(path.string()); }
  fs::path target;
  for (int n = 1; target.empty() || fs::exists(target, error); ++n)
    target = fmt::format("{}.old-{}", path.string(), n);
  fs::rename(path, target, error);
  if (error) fail_io("move to " + target.string(), path.string(), error.value());
  log::info("{} held an earlier run: it is now {}", path.string(), target.string());
}

// "runs/a/" and "runs/a/." are runs/a: its neighbour is runs/a.old-1.
std::string without_last_slash(const std::string& path) {
  std::string normal = fs::path(path).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

// The directory that a link leads to; another path stays as it is.
fs::path resolved(const fs::path& path) {
  std::error_code error;
  if (!fs::is_symlink(fs::symlink_status(path, error))) return path;
  const fs::path target = fs::canonical(path, error);
  if (error) fail_io("follow the link", path.string(), error.value());
  return target;
}

void refuse_foreign(const fs::path& path) {
  std::error_code error;
  const fs::file_status found = fs::status(path, error);
  if (fs::is_symlink(fs::symlink_status(path, error)) && !fs::exists(found)) {
    fail(ExitCode::resource,
         "run.dir = {} is a link to {}, which does not exist: make that directory (is its disk "
         "mounted?), or remove the link",
         path.string(), fs::read_symlink(path, error).string());
  }
  // A folder on the way that may not be entered, a name that is too long.
  if (found.type() == fs::file_type::none) fail_io("look at", path.string(), error.value());
  if (fs::exists(found) && !fs::is_directory(found)) {
    fail(ExitCode::resource, "run.dir = {} is a file, not a directory. Give another run.dir",
         path.string());
  }
}

}  // namespace

void on_leader(Communicator& world, const std::string& site, const std::function<void()>& f) {
  agree(world.rank() == 0 ? attempt(f) : std::nullopt, world, site);
}

RunDirectory::RunDirectory(const std::string& path, bool fresh, Communicator& world)
    : path_(without_last_slash(path)) {
  on_leader(world, "run directory", [&] {
    refuse_foreign(path_);
    // Of a link what it leads to: the new run stays on the disk that was chosen.
    const fs::path place = resolved(path_);
    if (fresh) set_aside(place);
    make_directories(place.string());
    lock_ = std::make_unique<DirectoryLock>(path_);
  });
}

}  // namespace troupe
