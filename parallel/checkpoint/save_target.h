// One rank's hands on the files of a save. No function communicates; SaveJob calls them in this
// order and carries what the ranks must tell each other.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/io/hash.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/coverage_plan.h"
#include "parallel/checkpoint/own_shares.h"

namespace troupe::checkpoint {

// What is saved where.
struct SaveRequest {
  std::string path;
  std::shared_ptr<const CoveragePlan> plan;
  std::vector<StateScalar> scalars;
  SaveOptions options;
  // On rank 0; each may be empty. Before a folder of shards is made, before the file gets its name
  // (with the digest of its seal), and once the save is complete.
  std::function<void(const std::string& folder)> will_make_folder;
  std::function<void(const Digest& seal)> will_make_file;
  std::function<void()> then;
};

class SaveTarget {
 public:
  virtual ~SaveTarget() = default;
  // Rank 0: makes what the others need. Returns what they must be told.
  virtual std::string create() = 0;
  // Another rank: is what rank 0 made visible here? Told what create() returned.
  virtual bool join(const std::string& told) = 0;
  // Writes and syncs this rank's shares; their digests, in order. `report`: what rank 0 must be
  // told about it.
  virtual std::vector<Digest> write(const std::vector<OwnShare>& shares, std::string& report) = 0;
  // All ranks have written; their reports, by rank.
  virtual void all_written(const std::vector<std::string>& reports) = 0;
  // Reads `piece`, elements of the plan's tensor in consecutive row-major order, back from the
  // disk.
  virtual void read(size_t tensor, const Box& piece, std::byte* out) = 0;
  // Rank 0: makes the save complete. Digests of the plan's tensors.
  virtual void finish(const std::vector<Digest>& digests) = 0;
};

}  // namespace troupe::checkpoint
