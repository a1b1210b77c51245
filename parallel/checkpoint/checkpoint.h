// Save and load of the training state by logical name, from any layout to any other. The file
// holds global tensors; the format page is README.md in this folder.
//
// save and load are collective over `world`, and all ranks leave them the same way: an error on
// one rank is thrown with the same code and text on each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/io/hash.h"
#include "core/parameter/state.h"
#include "parallel/comm/communicator.h"

namespace troupe::checkpoint {

struct SaveOptions {
  std::string config;                // the resolved configuration as text
  int64_t piece_bytes = 16LL << 20;  // bound of the memory used for gathering
};

// Writes `state` to `path`: under a temporary name, read back and compared, then renamed. Each
// element is written once, by the lowest rank that holds it. The bytes of the file depend on state
// and config only: not on layout, clock or rank count.
// Error(resource): disk full, not writable; the file of that name, if any, stays as it was.
// Error(internal): ranks disagree about the state, an element is covered twice or not at all.
void save(const std::string& path, const State& state, Communicator& world,
          const SaveOptions& options = {});

struct LoadOptions {
  // What of the file is wanted: tensors and scalars whose name begins with one of these
  // ("parameters/"). Empty: all of it; then a tensor or scalar that the file has and the state has
  // not is an error.
  std::vector<std::string> prefixes;
  int64_t piece_bytes = 16LL << 20;
};

// Fills the tensors and scalars of `state`. Each rank's boxes may be any part of the global tensor.
// Tensors are poisoned with NaN first, and stay so when loading fails.
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
  int64_t file_bytes = 0;
  std::string config;
  std::vector<StateScalar> scalars;
  std::vector<TensorInfo> tensors;  // ordered by name
  const StateScalar* scalar(const std::string& name) const;
};
Info read_info(const std::string& path);
// "1200", "0.1" (shortest text that reads back as the same number), or the text itself.
std::string text(const StateScalar& scalar);
// Reads every byte of the file and compares all digests. Error(checkpoint) names what is damaged.
void verify(const std::string& path);

}  // namespace troupe::checkpoint
