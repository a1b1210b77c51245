// A training state of every element type with known values, on any dp x ep layout.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/parameter/state.h"
#include "parallel/mesh/mesh.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe::test {

// The state of `rank`: expert tensors cut over ep, moments cut over dp, the rest replicated. The
// value of an element is a function of `seed`, the name and its global position.
State make_state(const MeshShape& shape, int rank, const std::shared_ptr<Device>& device,
                 uint64_t seed);
// The same tensors and scalars, filled with other values.
State make_blank(const MeshShape& shape, int rank, const std::shared_ptr<Device>& device);

// "" when the bits are equal, else the first difference.
std::string difference(const State& a, const State& b);

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& bytes);
// Names in a directory, sorted, without the list of what the run made there.
std::vector<std::string> names_in(const std::string& directory);

}  // namespace troupe::test
