#include "launch/app/run_directory.h"

#include <filesystem>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/atomic_file.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

constexpr const char* kResolvedConfig = "config.resolved.yaml";

void broadcast_bytes(Communicator& world, void* data, int64_t bytes, const std::string& site) {
  View view;
  view.data = data;
  view.dtype = DType::u8;
  view.shape = {bytes};
  view.strides = {1};
  world.broadcast(view, 0, site).wait();
}

void set_aside(const fs::path& path) {
  if (!fs::exists(path) || (fs::is_directory(path) && fs::is_empty(path))) return;
  if (!fs::exists(path / kResolvedConfig)) {
    fail(ExitCode::usage,
         "run.dir = {}: checkpoint.resume is never, but this is not the directory of a run (it "
         "holds no {}): it is "
         "left alone. Give another run.dir",
         path.string(), kResolvedConfig);
  }
  { const DirectoryLock nobody_else(path.string()); }
  fs::path target;
  for (int n = 1; target.empty() || fs::exists(target); ++n)
    target = fmt::format("{}.old-{}", path.string(), n);
  std::error_code error;
  fs::rename(path, target, error);
  if (error) fail_io("move to " + target.string(), path.string(), error.value());
  log::info("{} held an earlier run: it is now {}", path.string(), target.string());
}

void refuse_foreign(const fs::path& path) {
  if (fs::exists(path) && !fs::is_directory(path)) {
    fail(ExitCode::resource, "run.dir = {} is a file, not a directory. Give another run.dir",
         path.string());
  }
}

}  // namespace

std::string broadcast_text(Communicator& world, const std::string& text, const std::string& site) {
  auto size = static_cast<int64_t>(text.size());
  broadcast_bytes(world, &size, sizeof(size), site);
  std::string out = text;
  out.resize(static_cast<size_t>(size));
  if (size > 0) broadcast_bytes(world, out.data(), size, site);
  return out;
}

void on_leader(Communicator& world, const std::string& site, const std::function<void()>& f) {
  std::string message;
  int64_t code = -1;
  if (world.rank() == 0) {
    try {
      f();
    } catch (const Error& error) {
      code = static_cast<int64_t>(error.code());
      message = error.what();
    } catch (const std::exception& error) {
      code = static_cast<int64_t>(ExitCode::internal);
      message = error.what();
    }
  }
  broadcast_bytes(world, &code, sizeof(code), site);
  if (code < 0) return;
  throw Error(static_cast<ExitCode>(code), broadcast_text(world, message, site));
}

RunDirectory::RunDirectory(const std::string& path, bool fresh, Communicator& world) : path_(path) {
  on_leader(world, "run directory", [&] {
    refuse_foreign(path_);
    if (fresh) set_aside(path_);
    make_directories(path_);
    lock_ = std::make_unique<DirectoryLock>(path_);
  });
}

}  // namespace troupe
