#include "parallel/dp/value_plan.h"

#include <algorithm>

#include "core/base/error.h"

namespace troupe {

std::vector<ValueSegment> value_segments(std::span<const Bucket> buckets,
                                         std::span<const GradientItem> items,
                                         std::span<const std::string> units) {
  require(units.size() == items.size(), "{} units of {} parameters", units.size(), items.size());
  std::vector<ValueSegment> segments;
  for (size_t b = 0; b < buckets.size(); ++b) {
    const Bucket& bucket = buckets[b];
    const Layout& layout = items[bucket.parameters[0]].layout;
    if (layout.gradient_partial[static_cast<size_t>(Axis::pp)]) continue;
    int64_t at = 0;
    for (size_t i : bucket.parameters) {
      if (at == 0 || segments.back().unit != units[i]) segments.push_back({b, units[i], {}, at, 0});
      segments.back().parameters.push_back(i);
      segments.back().elements += items[i].elements;
      at += items[i].elements;
    }
  }
  return segments;
}

FlatRange owned_of_segment(const ValueSegment& segment, const Bucket& bucket, int owner, int size) {
  const std::vector<int64_t> begins = owner_begins(bucket.elements, size);
  const auto rank = static_cast<size_t>(owner);
  const int64_t begin = std::clamp(begins[rank], segment.begin, segment.end());
  const int64_t end = std::clamp(begins[rank + 1], segment.begin, segment.end());
  return {begin - segment.begin, end - begin};
}

std::map<std::string, int64_t> count_fetches(std::span<const ValueUse> uses) {
  std::map<std::string, int64_t> fetches;
  for (size_t i = 0; i < uses.size(); ++i) {
    int64_t& count = fetches[uses[i].unit];
    if (count > 0 && (uses[i].stays || uses[i - 1].unit == uses[i].unit)) continue;
    ++count;
  }
  return fetches;
}

int64_t value_bytes_sent(std::span<const GradientItem> items, std::span<const std::string> units,
                         const MeshShape& shape, int rank,
                         const std::map<std::string, int64_t>& fetches, int64_t bucket_bytes) {
  const std::vector<Bucket> buckets = plan_buckets(items, shape, bucket_bytes);
  int64_t bytes = 0;
  for (const ValueSegment& segment : value_segments(buckets, items, units)) {
    const auto found = fetches.find(segment.unit);
    if (found == fetches.end()) continue;
    const Bucket& bucket = buckets[segment.bucket];
    const GroupPlace place = gradient_group_place(items[bucket.parameters[0]].layout, shape, rank);
    const FlatRange own = owned_of_segment(segment, bucket, place.rank, place.size);
    bytes +=
        found->second * own.count * static_cast<int64_t>(size_of(bucket.dtype)) * (place.size - 1);
  }
  return bytes;
}

}  // namespace troupe
