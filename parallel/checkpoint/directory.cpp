#include "parallel/checkpoint/directory.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "core/base/absent_path.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/atomic_file.h"
#include "core/io/open_elsewhere.h"
#include "parallel/checkpoint/own_files.h"
#include "parallel/checkpoint/retention.h"
#include "parallel/checkpoint/save_job.h"
#include "parallel/comm/agreement.h"

namespace troupe::checkpoint {
namespace {

namespace fs = std::filesystem;

// RUN/checkpoints, or RUN itself when it is that folder.
std::string folder_of(const std::string& run_dir) {
  std::error_code error;
  const std::string below = directory_of(run_dir);
  return fs::is_directory(below, error) ? below : run_dir;
}

std::string describe(const std::vector<Rejected>& rejected) {
  std::string out;
  for (const Rejected& one : rejected) out += "\n  " + one.path + ": " + one.reason;
  return out;
}

}  // namespace

std::string directory_of(const std::string& run_dir) {
  return (fs::path(run_dir) / "checkpoints").string();
}

std::vector<StepFile> list(const std::string& run_dir) {
  std::vector<StepFile> out;
  const std::string folder = folder_of(run_dir);
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  // A folder that cannot be read must not pass for an empty one: a resume would begin anew.
  if (error && error != std::errc::no_such_file_or_directory) {
    fail_io("list", folder, error.value());
  }
  for (const auto& entry : entries) {
    const auto step = step_of(entry.path().filename().string());
    if (step) out.push_back({*step, entry.path().string()});
  }
  std::sort(out.begin(), out.end(),
            [](const StepFile& a, const StepFile& b) { return a.step < b.step; });
  return out;
}

namespace {

// One look at the folder. A file that a running training removed meanwhile is no damaged one: then
// `vanished` is set and nothing is said about it.
Choice look_for_usable(const std::string& run_dir,
                       const std::function<bool(const std::string& path)>& wanted, bool& vanished) {
  Choice choice;
  std::vector<StepFile> files = list(run_dir);
  for (auto file = files.rbegin(); file != files.rend(); ++file) {
    try {
      if (wanted && !wanted(file->path)) continue;
      verify(file->path);
      choice.path = file->path;
      choice.step = file->step;
      break;
    } catch (const OpenElsewhere&) {
      throw;  // it may be good: going back would lose steps
    } catch (const Error& error) {
      std::error_code ignored;
      if (!fs::exists(file->path, ignored)) {
        vanished = true;
        continue;
      }
      choice.rejected.push_back({file->path, error.what()});
      log::warning("checkpoint rejected: {}", error.what());
    }
  }
  return choice;
}

}  // namespace

Choice newest_usable(const std::string& run_dir,
                     const std::function<bool(const std::string& path)>& wanted) {
  constexpr int kLooks = 100;  // a training that saves faster than a file is read
  Choice choice;
  for (int look = 0; look < kLooks; ++look) {
    bool vanished = false;
    choice = look_for_usable(run_dir, wanted, vanished);
    if (!choice.path.empty() || !vanished) break;
  }
  if (!choice.rejected.empty() && !choice.path.empty()) {
    log::warning("falling back to the older checkpoint {}", choice.path);
  }
  return choice;
}

Choice newest_usable(const std::string& run_dir, Communicator& world) {
  Choice choice;
  agree(attempt([&] {
          if (world.rank() == 0) choice = newest_usable(run_dir);
        }),
        world, "checkpoint choice");
  const std::string site = "checkpoint choice";
  choice.path = broadcast_text(choice.path, 0, world, site);
  choice.step = std::stoll(broadcast_text(std::to_string(choice.step), 0, world, site));
  const int64_t count =
      std::stoll(broadcast_text(std::to_string(choice.rejected.size()), 0, world, site));
  choice.rejected.resize(static_cast<size_t>(count));
  for (Rejected& one : choice.rejected) {
    one.path = broadcast_text(one.path, 0, world, site);
    one.reason = broadcast_text(one.reason, 0, world, site);
  }
  return choice;
}

std::string newest_to_resume(const std::string& run_dir, Communicator& world) {
  const Choice choice = newest_usable(run_dir, world);
  if (choice.path.empty() && !choice.rejected.empty()) {
    fail(ExitCode::checkpoint,
         "no usable checkpoint in {}:{}\nTo begin anew, choose never to resume, or another "
         "directory.",
         run_dir, describe(choice.rejected));
  }
  return choice.path;
}

std::string resolve(const std::string& dir_or_file, Communicator& world) {
  std::string found;  // "directory", "file", or why nothing is
  if (world.rank() == 0) {
    std::error_code error;
    found = fs::is_directory(dir_or_file, error) ? "directory"
            : fs::exists(dir_or_file, error)     ? "file"
                                                 : why_absent(dir_or_file);
  }
  found = broadcast_text(found, 0, world, "checkpoint choice");
  if (found == "file") return dir_or_file;
  if (found != "directory") {
    fail(ExitCode::checkpoint, "no checkpoint at {}: it {}.", dir_or_file, found);
  }
  const Choice choice = newest_usable(dir_or_file, world);
  if (choice.path.empty() && choice.rejected.empty()) {
    fail(ExitCode::checkpoint,
         "no checkpoint in {}: no complete file {}/step-*.h5. Train first, or give another "
         "directory.",
         dir_or_file, folder_of(dir_or_file));
  }
  if (choice.path.empty()) {
    fail(ExitCode::checkpoint, "no usable checkpoint in {}:{}", dir_or_file,
         describe(choice.rejected));
  }
  return choice.path;
}

std::string save_step(const std::string& run_dir, int64_t step, int64_t keep, const State& state,
                      Communicator& world, const SaveOptions& options) {
  SaveRequest request = step_request(run_dir, step, keep, options);
  std::string path = request.path;
  save(std::move(request), state, world);
  return path;
}

SaveRequest step_request(const std::string& run_dir, int64_t step, int64_t keep,
                         const SaveOptions& options) {
  SaveRequest request;
  request.path = (fs::path(directory_of(run_dir)) / file_name(step)).string();
  request.options = options;
  const std::string folder = directory_of(run_dir);
  request.will_make_folder = [folder](const std::string& name) {
    OwnFiles(folder).add_folder(name);
  };
  request.will_make_file = [folder, step](const Digest& seal) {
    OwnFiles(folder).add_file(file_name(step), seal);
  };
  request.then = [folder, keep, warnings = options.warnings] {
    remove_old(folder, keep, *warnings);
  };
  return request;
}

void begin_run(const std::string& run_dir, bool trained_before) {
  begin_own_files(directory_of(run_dir), trained_before);
}

std::vector<std::string> set_aside_newer(const std::string& run_dir, int64_t step) {
  std::vector<std::string> moved;
  for (const StepFile& file : list(run_dir)) {
    if (file.step <= step) continue;
    if (std::rename(file.path.c_str(), (file.path + kSupersededEnd).c_str()) == 0) {
      moved.push_back(file.path);
    } else {
      log::warning("cannot rename the newer checkpoint {}", file.path);
    }
  }
  return moved;
}

}  // namespace troupe::checkpoint
