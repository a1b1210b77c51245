// What one rank writes of a checkpoint, and where it stands in memory.
#pragma once

#include <vector>

#include "core/io/hash.h"
#include "core/io/posix_file.h"
#include "parallel/checkpoint/boxes.h"
#include "parallel/checkpoint/coverage_plan.h"

namespace troupe::checkpoint {

// What is hashed and then written, or read and then hashed, in pieces of this size is still in the
// cache the second time.
constexpr int64_t kCachedBytes = 1 << 20;

struct OwnShare {
  size_t tensor = 0;  // in the plan
  size_t share = 0;   // of the tensor
  BoxArray source;    // holds the share's box, perhaps more
};

// In the order of the plan. The arrays are those of `state`, which must outlive them.
std::vector<OwnShare> own_shares(const CoveragePlan& plan, const State& state, int rank);

// Calls take(piece, data) with the elements of `box` in its own row-major order, in pieces of at
// most `limit` bytes; data: packed.
void for_each_packed(const Box& box, size_t element_bytes, const BoxArray& source, int64_t limit,
                     const std::function<void(const Box& piece, const std::byte* data)>& take);

// Puts packed elements of `piece` into a file in which `in_file` stands packed from `offset` on.
void write_box(PosixFile& file, int64_t offset, const Box& in_file, const Box& piece,
               size_t element_bytes, const std::byte* data);

}  // namespace troupe::checkpoint
