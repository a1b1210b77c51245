// Mutated checkpoints, in one file and in several, through everything that reads a checkpoint.
#pragma once

#include <cstdint>
#include <string>

#include "tests/parallel/checkpoint/support/mutate_shards.h"

namespace troupe::test {

// A small valid checkpoint file.
std::string fuzz_original();
// Saves a small checkpoint in two shards and a manifest into the run directory.
ShardedBytes fuzz_shards(const std::string& run, int64_t step);

struct FuzzCounts {
  int64_t passed_first_check = 0;  // the seal was accepted
  int64_t passed_verify = 0;
  int64_t loaded = 0;
};

enum class FuzzKind { file, shards };

// Puts mutants [begin, end) through everything that reads a checkpoint, in a child process with
// limits on memory (1 GB) and time. Of several files each refused one must name its checkpoint,
// and the one before must be taken. Returns "" or what went wrong with which mutant.
std::string run_fuzz(FuzzKind kind, uint64_t begin, uint64_t end, FuzzCounts& counts);

}  // namespace troupe::test
