// What may change when a run is resumed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launch/config/run_config.h"

namespace troupe {

struct Change {
  std::string key;
  // As written in YAML, or a file with its fingerprint; "(absent)" when the stored one has none.
  std::string before;
  std::string after;
  bool allowed = false;
};

// micro_batch decides what is trained only through balance terms of scope microbatch; else it is a
// matter of layout.
bool micro_batch_matters(const RunConfig& config);

// Keys whose resolved values differ. Paths are equal when the files have the same bytes; where
// fingerprints are not known, when they name the same file.
std::vector<Change> changes(const RunConfig& stored, const RunConfig& now);

// A run goes on as it began: keys that its stored configuration does not know, and that `now` does
// not give, take in `now` what held then. Returns a sentence for each that matters.
std::vector<std::string> keep_what_held(const RunConfig& stored, RunConfig& now);

// Throws Error(usage) that lists every change which is not allowed, with old and new value, unless
// `force`. Returns warnings: forced changes, and what a new number of steps does to the learning
// rate of the step after `step`.
std::vector<std::string> check_resume(const RunConfig& stored, const RunConfig& now, int64_t step,
                                      bool force);

}  // namespace troupe
