// The checkpoints of a run: DIR/checkpoints/step-00001200.h5, newest last. Only complete files have
// a name that matches *.h5.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/names.h"
#include "parallel/checkpoint/save_target.h"

namespace troupe::checkpoint {

// RUN/checkpoints.
std::string directory_of(const std::string& run_dir);

struct StepFile {
  int64_t step = 0;
  std::string path;
};
// The checkpoints of DIR/checkpoints, oldest first. DIR may also be the folder `checkpoints`
// itself. Empty when there is none.
std::vector<StepFile> list(const std::string& run_dir);

struct Rejected {
  std::string path;
  std::string reason;
};
struct Choice {
  std::string path;  // empty: no usable checkpoint
  int64_t step = 0;
  std::vector<Rejected> rejected;  // newer ones that are damaged, newest first
};
// The newest checkpoint of which every digest is right, among those that are wanted (all without
// `wanted`). Damaged ones are logged as warnings; one that another program writes is not passed
// over: OpenElsewhere (an Error(checkpoint)).
Choice newest_usable(const std::string& run_dir,
                     const std::function<bool(const std::string& path)>& wanted = {});
// The same on all ranks: rank 0 looks and tells. Collective.
Choice newest_usable(const std::string& run_dir, Communicator& world);
// For `resume: auto`: the newest usable checkpoint, or "" when the run has no checkpoint file.
// Collective. Error(checkpoint) when there are files but all are damaged: beginning anew would lose
// the run silently.
std::string newest_to_resume(const std::string& run_dir, Communicator& world);
// DIR or FILE as a user gives it: the file itself, or the newest usable one of the run. Collective.
// Error(checkpoint) when there is none, with the list of what was rejected.
std::string resolve(const std::string& dir_or_file, Communicator& world);

// Saves DIR/checkpoints/step-N.h5, then removes the oldest beyond `keep` and what killed saves left
// behind (retention.h). Collective. Returns the path.
std::string save_step(const std::string& run_dir, int64_t step, int64_t keep, const State& state,
                      Communicator& world, const SaveOptions& options = {});

// What save_step() saves, for a save in phases: the path, and what is removed afterwards.
SaveRequest step_request(const std::string& run_dir, int64_t step, int64_t keep,
                         const SaveOptions& options);

// When a training starts in the directory, before it writes anything there; on one rank. See
// begin_own_files().
void begin_run(const std::string& run_dir, bool trained_before);

// After going back to `step` (an older checkpoint, or damaged newer ones): renames newer files to
// NAME.h5.superseded, so that the next resume does not take them. Returns their old paths. Call it
// on one rank.
std::vector<std::string> set_aside_newer(const std::string& run_dir, int64_t step);

}  // namespace troupe::checkpoint
