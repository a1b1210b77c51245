// Which rank of its gradient group owns which elements of a parameter: it keeps their moments,
// gets their summed gradient, updates them and hands them round. A pure function of the layouts and
// the mesh, so that all ranks agree and `check` can predict memory and traffic.
//
// The elements of a bucket, one parameter after another, are cut into as many pieces as its group
// has ranks; sizes differ by at most one element and need not divide.
#pragma once

#include <span>
#include <vector>

#include "core/parameter/flat_range.h"
#include "parallel/dp/bucket_plan.h"

namespace troupe {

// Rank `owner` of `size` owns the elements [begin(owner), begin(owner + 1)) of a bucket.
std::vector<int64_t> owner_begins(int64_t elements, int size);

// What one rank owns of one parameter of a bucket.
struct OwnedPart {
  size_t parameter = 0;
  FlatRange range;           // of the local tensor
  int64_t bucket_begin = 0;  // where the range begins in the bucket
};
// The parts of rank `owner` of the `size` ranks that sum this bucket, in the bucket's order.
std::vector<OwnedPart> owned_parts(const Bucket& bucket, std::span<const GradientItem> items,
                                   int owner, int size);

// What the rank owns of every parameter; all of it where nobody else has its gradient.
std::vector<FlatRange> owned_ranges(std::span<const GradientItem> items, const MeshShape& shape,
                                    int rank, int64_t bucket_bytes = kBucketBytes);

// Ranks that hold the same part of a value although its gradient is not summed over them: on how
// many a gradient stands, and which of them the rank at these coordinates is.
struct SharedGradient {
  int64_t copies = 1;
  int64_t index = 0;
};
SharedGradient shared_gradient(const Layout& layout, const MeshShape& shape,
                               const std::array<int, kAxes>& coordinates);

}  // namespace troupe
