// Writes one checkpoint file: HDF5 under a temporary name, seal, read-back, rename. One rank only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/io/atomic_file.h"
#include "core/io/hdf5_file.h"
#include "core/io/seal.h"
#include "core/parameter/state.h"
#include "parallel/checkpoint/coverage_plan.h"

namespace troupe::checkpoint {

class FileWriter {
 public:
  // Checks the space, creates the file, writes configuration and scalars.
  FileWriter(const std::string& path, const CoveragePlan& plan,
             const std::vector<StateScalar>& scalars, const std::string& config);
  // Tensors in the order of the plan: begin, its pieces in row-major order, end.
  void begin(const TensorPlan& tensor);
  void write(const Box& piece, const void* data);
  void end();
  // Closes, seals, reads everything back from the disk and puts the file in place.
  void commit();

 private:
  void write_scalar(const StateScalar& scalar);
  void write_text(const std::string& path, const std::string& text);
  void compare_structure();

  AtomicFile target_;
  int64_t block_ = 0;
  std::optional<Hdf5File> file_;
  std::vector<SealEntry> entries_;
  std::optional<Hdf5Dataset> dataset_;
  std::optional<Hasher> hasher_;
};

// HDF5 paths of what a state holds.
std::string tensor_path(const std::string& name);
std::string scalar_path(const std::string& name);
inline const std::string kConfigPath = "/config";
inline const std::string kScalarPrefix = "/scalars/";
inline const std::string kDigestAttribute = "xxh3_128";

// Compares what HDF5 says about the file with the seal: paths, shapes, types, places, digests.
// Error(checkpoint) names the first difference. Only for files that are trusted: HDF5 parses them.
void compare_with_hdf5(const std::string& path, const std::vector<SealEntry>& entries);

}  // namespace troupe::checkpoint
