// Where values are spread over ranks (parallel.zero 3): which parts travel together, how often,
// and the bytes of it. Pure functions of the layouts, the mesh and the order of uses.
//
// A rank keeps the values of the elements that it owns (parallel/dp/ownership.h). The parameters of
// one unit of the model (a block) in one bucket are a segment: each of its owners sends its part to
// the other ranks of the group.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/parameter/parameter_gatherer.h"
#include "parallel/dp/ownership.h"
#include "parallel/mesh/parallelism.h"

namespace troupe {

struct ValueSegment {
  size_t bucket = 0;
  std::string unit;
  std::vector<size_t> parameters;  // in the order of the bucket
  int64_t begin = 0;               // in the bucket
  int64_t elements = 0;
  int64_t end() const { return begin + elements; }
};

// units: of each item. Parameters that two pipeline stages hold (a tied embedding) are in no
// segment: the stages use them at different times, so they keep them whole.
std::vector<ValueSegment> value_segments(std::span<const Bucket> buckets,
                                         std::span<const GradientItem> items,
                                         std::span<const std::string> units);

// The elements of a segment that rank `owner` of `size` keeps, counted from its begin.
FlatRange owned_of_segment(const ValueSegment& segment, const Bucket& bucket, int owner, int size);

// How often the values of each unit travel when they are used in this order: not for a use right
// after one of the same unit, and once for a unit that stays.
std::map<std::string, int64_t> count_fetches(std::span<const ValueUse> uses);

// Bytes that rank `rank` sends to others for these fetches.
int64_t value_bytes_sent(std::span<const GradientItem> items, std::span<const std::string> units,
                         const MeshShape& shape, int rank,
                         const std::map<std::string, int64_t>& fetches,
                         int64_t bucket_bytes = kBucketBytes);

}  // namespace troupe
