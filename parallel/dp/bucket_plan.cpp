#include "parallel/dp/bucket_plan.h"

#include <algorithm>
#include <map>

#include "parallel/comm/traffic_model.h"

namespace troupe {
namespace {

// The axes over which a gradient is really summed, as bits.
unsigned group_key(const Layout& layout, const MeshShape& shape) {
  unsigned key = 0;
  for (int i = 0; i < kAxes; ++i) {
    const auto axis = static_cast<size_t>(i);
    if (layout.gradient_partial[axis] && shape.size[axis] > 1) key |= 1U << i;
  }
  return key;
}

struct GroupPlace {
  int size = 1;
  int rank = 0;
};

// Members of a group are ordered by world rank: the later axis of a folding is the faster one.
GroupPlace place_in_group(unsigned key, const MeshShape& shape, int rank) {
  const auto at = coordinates(shape, rank);
  GroupPlace place;
  for (size_t axis = 0; axis < kAxes; ++axis) {
    if ((key >> axis & 1U) == 0) continue;
    place.size *= shape.size[axis];
    place.rank = place.rank * shape.size[axis] + at[axis];
  }
  return place;
}

}  // namespace

std::vector<Bucket> plan_buckets(std::span<const GradientItem> items, const MeshShape& shape,
                                 int64_t bucket_bytes) {
  std::vector<Bucket> buckets;
  std::map<std::pair<unsigned, DType>, size_t> open;
  for (size_t i = items.size(); i-- > 0;) {
    const GradientItem& item = items[i];
    const unsigned key = group_key(item.layout, shape);
    if (key == 0 || item.elements == 0) continue;
    const auto element_bytes = static_cast<int64_t>(size_of(item.dtype));
    const auto found = open.find({key, item.dtype});
    size_t index = buckets.size();
    if (found != open.end() &&
        (buckets[found->second].elements + item.elements) * element_bytes <= bucket_bytes) {
      index = found->second;
    } else {
      buckets.push_back({{}, 0, item.dtype});
      open[{key, item.dtype}] = index;
    }
    buckets[index].parameters.push_back(i);
    buckets[index].elements += item.elements;
  }
  // A bucket can start when its earliest parameter is ready, which backward meets last.
  std::stable_sort(buckets.begin(), buckets.end(), [](const Bucket& a, const Bucket& b) {
    return a.parameters.back() > b.parameters.back();
  });
  return buckets;
}

int64_t gradient_sync_bytes(std::span<const GradientItem> items, const MeshShape& shape, int rank,
                            int64_t bucket_bytes) {
  int64_t bytes = 0;
  for (const Bucket& bucket : plan_buckets(items, shape, bucket_bytes)) {
    const unsigned key = group_key(items[bucket.parameters[0]].layout, shape);
    const GroupPlace place = place_in_group(key, shape, rank);
    bytes += all_reduce_bytes_sent(bucket.elements, static_cast<int64_t>(size_of(bucket.dtype)),
                                   place.rank, place.size);
  }
  return bytes;
}

}  // namespace troupe
