#include "launch/training/resume_point.h"

#include <algorithm>
#include <filesystem>

#include "core/base/log.h"
#include "launch/config/scalar.h"
#include "parallel/checkpoint/content.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/comm/agreement.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
const std::string kSite = "checkpoint choice";

// As it is recorded.
std::string recorded_path(const std::string& path) {
  return format_text(fs::absolute(path).lexically_normal().string());
}

// What the checkpoints at a path hold: of a file its own, of a directory all that can be read.
std::vector<std::string> contents_at(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    return {checkpoint::content_digest(checkpoint::read_info(path)).hex()};
  }
  std::vector<std::string> contents;
  for (const checkpoint::StepFile& file : checkpoint::list(path)) {
    try {
      contents.push_back(checkpoint::content_digest(checkpoint::read_info(file.path)).hex());
    } catch (const Error&) {
      // It is of no use to anybody, or a running training removed it.
    }
  }
  return contents;
}

// The newest checkpoint of the run that descends from the path, or "". What a directory held may be
// gone while the run in it goes on, and all that a path held: then the path decides.
std::string newest_descendant(const std::string& path, const std::string& run_dir) {
  std::error_code error;
  const bool gone = !fs::exists(path, error);
  const bool by_path = gone || fs::is_directory(path, error);
  const std::string recorded = recorded_path(path);
  const std::vector<std::string> contents = gone ? std::vector<std::string>{} : contents_at(path);
  const auto descends = [&](const std::string& file) {
    const std::vector<Ancestor> lineage = recorded_lineage(checkpoint::read_info(file).config);
    return std::any_of(lineage.begin(), lineage.end(), [&](const Ancestor& ancestor) {
      return (by_path && ancestor.path == recorded) ||
             std::find(contents.begin(), contents.end(), ancestor.content) != contents.end();
    });
  };
  const std::string found = checkpoint::newest_usable(run_dir, descends).path;
  if (found.empty()) return found;
  if (gone) log::warning("nothing is at checkpoint.resume = {} any more", path);
  log::info("{} descends from checkpoint.resume = {}: training goes on from there", found, path);
  return found;
}

}  // namespace

ResumePoint find_resume_point(const RunConfig& config, const RunDirectory& directory,
                              Communicator& world) {
  const std::string& resume = config.checkpoint.resume;
  ResumePoint point;
  if (resume == "never") return point;
  std::string own;  // of the run itself
  if (resume == "auto") {
    own = checkpoint::newest_to_resume(directory.path(), world);
  } else {
    on_leader(world, kSite, [&] { own = newest_descendant(resume, directory.path()); });
    own = broadcast_text(own, 0, world, kSite);
  }
  point.checkpoint = own.empty() && resume != "auto" ? checkpoint::resolve(resume, world) : own;
  if (point.checkpoint.empty()) return point;
  std::string lines;
  on_leader(world, kSite, [&] {
    const checkpoint::Info info = checkpoint::read_info(point.checkpoint);
    std::vector<Ancestor> lineage = recorded_lineage(info.config);
    if (own.empty()) {
      lineage.push_back({checkpoint::content_digest(info).hex(), recorded_path(resume)});
    }
    lines = lineage_lines(lineage);
  });
  point.lineage = recorded_lineage(broadcast_text(lines, 0, world, kSite));
  return point;
}

}  // namespace troupe
