// DIR/experts.bin: tokens per (layer, expert) of each logged step. Format: README.md of this
// folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "launch/metrics/log_file.h"

namespace troupe {

struct ExpertLayer {
  int64_t layer = 0;    // layer number in the model, from 0
  int64_t experts = 0;  // routed experts of the layer
  bool operator==(const ExpertLayer&) const = default;
};

struct ExpertLoads {
  std::vector<ExpertLayer> layers;
  std::vector<int64_t> steps;                 // growing
  std::vector<std::vector<uint32_t>> counts;  // [step][layer after layer: experts]
};

// Tokens before drops. A missing or foreign file gives no layers and no steps; a torn or damaged
// record ends the reading.
ExpertLoads read_expert_loads(const std::filesystem::path& run_dir);

class ExpertFile {
 public:
  // Keeps the records up to resume_step if the file has the same layers, else starts anew. Without
  // layers (a dense model) there is no file. Trouble with the disk never throws: see dropped().
  ExpertFile(const std::filesystem::path& run_dir, std::vector<ExpertLayer> layers,
             int64_t resume_step);
  // counts: layer after layer in the order of `layers`, each value clamped to 0 .. 2^32-1.
  void append(int64_t step, std::span<const int64_t> counts);
  int64_t dropped() const { return lost_ + (file_ ? file_->dropped() : 0); }

 private:
  std::unique_ptr<LogFile> file_;
  size_t values_ = 0;
  int64_t lost_ = 0;  // records while there is no file
};

}  // namespace troupe
