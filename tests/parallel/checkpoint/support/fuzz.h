// Mutated checkpoint files: structure-aware, mostly with digests that are right again, so that the
// checks behind them are reached.
#pragma once

#include <cstdint>
#include <string>

namespace troupe::test {

// A small valid checkpoint file.
std::string fuzz_original();
// Mutant number `number`: a pure function of it.
std::string mutant(const std::string& original, uint64_t number);

struct FuzzCounts {
  int64_t passed_first_check = 0;  // the seal was accepted
  int64_t passed_verify = 0;
  int64_t loaded = 0;
};

// Puts mutants [begin, end) through everything that reads a checkpoint, in a child process with
// limits on memory (1 GB) and time. Returns "" or what went wrong with which mutant.
std::string run_fuzz(uint64_t begin, uint64_t end, FuzzCounts& counts);

}  // namespace troupe::test
