// Which checkpoints of a run are kept. Only what the run itself made is ever removed (own_files.h),
// and of that nothing that something else in the folder refers to: a manifest of any name its
// shards, a link the checkpoint that it leads to.
#pragma once

#include <cstdint>
#include <string>

#include "parallel/checkpoint/save_warnings.h"

namespace troupe::checkpoint {

// Removes checkpoints beyond `keep` (0 keeps all), superseded ones before others and older ones
// first, shards that no manifest names any more, and what killed saves left behind. What cannot be
// removed is a warning, and no reason to end a training. Call it when no save is under way.
void remove_old(const std::string& folder, int64_t keep, SaveWarnings& warnings);

}  // namespace troupe::checkpoint
