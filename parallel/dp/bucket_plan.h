// Which gradients travel together: a pure function of the parameters in their order, so that all
// ranks agree and `check` can predict the traffic.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "parallel/mesh/mesh.h"

namespace troupe {

constexpr int64_t kBucketBytes = int64_t{4} << 20;

// What the plan needs to know of one parameter.
struct GradientItem {
  Layout layout;
  int64_t elements = 0;  // of this rank's part
  DType dtype = DType::f32;
};

struct Bucket {
  std::vector<size_t> parameters;  // in the order of memory: indices fall, as backward meets them
  int64_t elements = 0;
  DType dtype = DType::f32;
};

// Axes of its folding over which a value is repeated without its gradient being summed: the ranks
// along them hold the same gradient from the start.
std::vector<Axis> sharing_axes(const Layout& layout);

// The rank's place in the group that sums gradients of this layout.
struct GroupPlace {
  int size = 1;
  int rank = 0;
};
GroupPlace gradient_group_place(const Layout& layout, const MeshShape& shape, int rank);

// Buckets in the order in which backward fills them: parameters from last to first; one gradient
// group, one set of sharing axes (whose ranks then have equal buckets) and one type a bucket;
// closed before it would pass bucket_bytes. Parameters whose gradient group is one rank are in no
// bucket.
std::vector<Bucket> plan_buckets(std::span<const GradientItem> items, const MeshShape& shape,
                                 int64_t bucket_bytes = kBucketBytes);

// Items of one gradient group: the bytes that rank `rank` sends to each rank of the group in a
// step, for the sums of their gradients and, with zero 1 and 2, to hand round the updated values
// (with zero 3 those of two stages). rounds: how often gradients are summed in a step, from zero 2
// on once per micro-batch, else once.
std::vector<int64_t> gradient_sync_bytes_to(std::span<const GradientItem> items,
                                            const MeshShape& shape, int rank,
                                            int64_t bucket_bytes = kBucketBytes, int zero = 0,
                                            int64_t rounds = 1);

}  // namespace troupe
