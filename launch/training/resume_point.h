// The checkpoint that a start of a run goes on from.
#pragma once

#include <string>
#include <vector>

#include "launch/config/recorded_lineage.h"
#include "launch/config/run_config.h"
#include "launch/training/run_directory.h"

namespace troupe {

struct ResumePoint {
  std::string checkpoint;         // empty = from the beginning
  std::vector<Ancestor> lineage;  // of what is trained from there on
};

// checkpoint.resume auto: the newest checkpoint of the run. never: none. A path: the newest
// checkpoint of the run that descends from the one at that path (from one of those there, if it is
// a directory), so that the same command goes on after a stop; without such a one the path's own.
// Where nothing is at the path any more, or a directory, what was started from it counts, too. The
// leader says which.
// Collective. Error(checkpoint) as checkpoint::resolve() and newest_to_resume().
ResumePoint find_resume_point(const RunConfig& config, const RunDirectory& directory,
                              Communicator& world);

}  // namespace troupe
