// One checkpoint file while it is made: HDF5 under a temporary name with room for every tensor,
// whose bytes any rank may put into their places; then digests, seal and rename.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/hdf5/hdf5_file.h"
#include "core/io/seal.h"
#include "core/parameter/state.h"

namespace troupe::checkpoint {

struct DatasetPlan {
  std::string path;
  DType dtype = DType::f32;
  Shape shape;
};

// What a file is to hold.
struct FileContents {
  std::vector<std::pair<std::string, std::string>> texts;  // path and text
  std::vector<StateScalar> scalars;
  std::vector<DatasetPlan> tensors;
};

class FileWriter {
 public:
  // Nothing is written yet. Error(internal) when a path stands twice.
  FileWriter(const std::string& path, FileContents contents);

  // Checks the space, writes the temporary file with all texts and scalars, and closes it: from now
  // on tensors may be put into it from anywhere. Error(resource) when a text is too long to be read
  // again.
  void create();
  const std::string& temporary_path() const { return target_.temporary_path(); }
  // Where tensor `index` of the contents begins in the file; 0 when it has no elements.
  int64_t offset(size_t index) const { return places_[index]; }
  // Puts digests and seal to the tensors' bytes, which are in the file and synced, checks all but
  // these bytes by reading back, and gives the file its name. Returns its seal's digest and size.
  struct Finished {
    Digest seal;
    int64_t bytes = 0;
  };
  // `before` is told the digest before the file gets its name.
  Finished commit(const std::vector<Digest>& digests,
                  const std::function<void(const Digest& seal)>& before = {});

 private:
  void write_text(Hdf5File& file, const std::string& path, const std::string& text);
  void write_scalar(Hdf5File& file, const StateScalar& scalar);
  void put_digests(const std::vector<Digest>& digests);

  AtomicFile target_;
  FileContents contents_;
  int64_t block_ = 0;
  int64_t needed_ = 0;              // bytes, rounded up
  std::vector<SealEntry> entries_;  // of texts and scalars
  std::vector<int64_t> places_;     // of tensors
};

// Ends a save whose file does not hold what was written to it: Error(resource).
[[noreturn]] void fail_read_back(const Error& error);

// By name: files do not depend on the order in which a state lists its values.
std::vector<StateScalar> in_order(std::vector<StateScalar> scalars);

// HDF5 paths of what a state holds.
std::string tensor_path(const std::string& name);
std::string scalar_path(const std::string& name);
inline const std::string kConfigPath = "/config";
inline const std::string kScalarPrefix = "/scalars/";
// A longer text is neither read nor written.
constexpr int64_t kLongestText = 64LL << 20;
inline const std::string kDigestAttribute = "xxh3_128";

// Compares what HDF5 says about the file with the seal: paths, shapes, types, places, digests.
// Error(checkpoint) names the first difference. Only for files that are trusted: HDF5 parses them.
void compare_with_hdf5(const std::string& path, const std::vector<SealEntry>& entries);

}  // namespace troupe::checkpoint
