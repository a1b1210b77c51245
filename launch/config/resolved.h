// The resolved configuration: every value, with where it comes from.
#pragma once

#include <string>

#include "launch/config/run_config.h"

namespace troupe {

struct ResolvedOptions {
  // Where the text will stand: paths of data are written relative to it. Empty = run.dir, or
  // run.dir/checkpoints for a checkpoint.
  std::string folder = {};
  // Leaves out what depends on the job at hand: layout, threads, run.dir, origins. Two layouts then
  // write the same text.
  bool for_checkpoint = false;
};

// YAML with one comment per value: its origin (default, LINE:COLUMN, command line, "auto ->
// value"); the file is named once. Loads back to the same configuration from a file that stands in
// the folder.
std::string resolved_yaml(const RunConfig& config, const ResolvedOptions& options = {});

// Hash (XXH3, 16 hex digits) of what decides the training: all keys that may not change on resume,
// in canonical form. Paths count by their last part, so that a moved project keeps its hash.
std::string config_hash(const RunConfig& config);

// {"a.b": {"value": ..., "origin": "..."}} as JSON text; real numbers, booleans and lists as such.
std::string resolved_json(const RunConfig& config);

}  // namespace troupe
