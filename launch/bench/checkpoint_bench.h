// Times saving, loading and verifying the training state of a configuration beside the disk's own
// rate for a file of the same size.
#pragma once

#include <cstdint>
#include <string>

#include "launch/config/run_config.h"
#include "launch/training/rank_runtime.h"

namespace troupe {

struct CheckpointBench {
  int64_t file_bytes = 0;
  std::string directory;  // where it was measured
  // Bytes of the file per second, medians.
  double save_rate = 0;  // gather, write, fsync, read back and compare
  double load_rate = 0;  // read, compare digests, fill the tensors
  double verify_rate = 0;
  double disk_write_rate = 0;  // a plain write with fsync
  double disk_read_rate = 0;   // a plain read
  // Steps beside which a checkpoint is saved, against steps of the same run beside which none is.
  // Medians, so one slow step in between does not count; the mean counts the copy, too.
  double step_seconds = 0;
  double saving_step_ratio = 0;
  double saving_mean_ratio = 0;
  double copy_seconds = 0;    // what the step waits for
  double steps_per_save = 0;  // how many steps a save lasts
};

// In a directory of its own, made beside run.dir (in the nearest parent that exists) or in
// `directory`, and removed again. Collective.
CheckpointBench bench_checkpoint(const RunConfig& config, RankRuntime& runtime,
                                 const std::string& directory, int64_t repeats);

}  // namespace troupe
