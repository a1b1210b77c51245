// Save and load of the training state by logical name, from any layout to any other. The file
// holds global tensors; the format page is README.md in this folder.
//
// save and load are collective over `world`, and all ranks leave them the same way: an error on
// one rank is thrown with the same code and text on each.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/io/hash.h"
#include "core/parameter/state.h"
#include "parallel/checkpoint/save_warnings.h"
#include "parallel/comm/communicator.h"

namespace troupe::checkpoint {

struct SaveOptions {
  std::string config{};              // the resolved configuration as text
  int64_t piece_bytes = 16LL << 20;  // bound of the memory used for packing and gathering
  int64_t shard_above = 1LL << 30;   // more bytes of tensors: one file for each rank that writes
  // Shared by the saves of a run, so that each warning is given once.
  std::shared_ptr<SaveWarnings> warnings = std::make_shared<SaveWarnings>();
};

// Writes `state` to `path`: under a temporary name, read back and compared, then renamed. Each
// element is written once, by one of the ranks that hold it. The bytes of the file depend on state
// and config only: not on layout, clock or rank count. Above options.shard_above the file is a
// manifest, and the tensors are in a folder beside it.
// Error(resource): disk full, not writable; the file of that name, if any, stays as it was.
// Error(internal): ranks disagree about the state, an element is covered twice or not at all.
void save(const std::string& path, const State& state, Communicator& world,
          const SaveOptions& options = {});

struct LoadOptions {
  // What of the file is wanted: tensors and scalars whose name begins with one of these
  // ("parameters/"). Empty: all of it; then a tensor or scalar that the file has and the state has
  // not is an error.
  std::vector<std::string> prefixes;
  int64_t piece_bytes = 4LL << 20;  // of three such one is used while the others are read
  // A tensor may have a narrower floating type in the file; else that is an error.
  bool widen = false;
};

// Fills the tensors and scalars of `state`. Each rank's boxes may be any part of the global tensor.
// A tensor that is not read straight into its place is poisoned with NaN before its elements come,
// and all are when loading fails.
// Error(checkpoint): damaged file (tensor, expected and found digest), missing or extra names,
// another shape or type.
void load(const std::string& path, State& state, Communicator& world,
          const LoadOptions& options = {});

// What a file holds, without its tensors' contents. Error(checkpoint) when it is not sound.
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  int64_t bytes = 0;
  Digest digest;
};
struct Info {
  int64_t format_version = 0;
  int64_t file_bytes = 0;  // shards included
  int64_t shards = 0;      // files beside the manifest; 0: all is in one file
  std::string config;
  std::vector<StateScalar> scalars;
  std::vector<TensorInfo> tensors;  // ordered by name
  const StateScalar* scalar(const std::string& name) const;
};
Info read_info(const std::string& path);
// "1200", "0.1" (shortest text that reads back as the same number), or the text itself.
std::string text(const StateScalar& scalar);
// Reads every byte of the file and its shards and compares all digests. Error(checkpoint) names
// what is damaged.
void verify(const std::string& path);
// Copies a checkpoint in several files into one: the file that a save into one file makes. Returns
// its bytes. Error(checkpoint) when the source is damaged, Error(resource) as in save().
int64_t merge(const std::string& path, const std::string& into);

}  // namespace troupe::checkpoint
