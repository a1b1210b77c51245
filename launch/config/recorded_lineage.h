// From which checkpoints that `checkpoint.resume` named a run descends: a comment line each at the
// beginning of a stored configuration, the first one first.
//
//   # Descends from 0123456789abcdef0123456789abcdef /runs/base/checkpoints/step-00000400.h5
#pragma once

#include <string>
#include <vector>

namespace troupe {

struct Ancestor {
  std::string content;  // fingerprint of the checkpoint: checkpoint::content_digest, 32 digits
  std::string path;     // that the run was given, absolute, as YAML writes it
  bool operator==(const Ancestor& other) const = default;
};

std::string lineage_lines(const std::vector<Ancestor>& lineage);
// That of a stored configuration; empty when it was never given a path.
std::vector<Ancestor> recorded_lineage(const std::string& text);

}  // namespace troupe
