#include "parallel/dp/ownership.h"

#include <algorithm>

#include "parallel/comm/traffic_model.h"

namespace troupe {

std::vector<int64_t> owner_begins(int64_t elements, int size) {
  std::vector<int64_t> begins;
  for (int owner = 0; owner <= size; ++owner) begins.push_back(piece_begin(elements, owner, size));
  return begins;
}

std::vector<OwnedPart> owned_parts(const Bucket& bucket, std::span<const GradientItem> items,
                                   int owner, int size) {
  const int64_t begin = piece_begin(bucket.elements, owner, size);
  const int64_t end = piece_begin(bucket.elements, owner + 1, size);
  std::vector<OwnedPart> parts;
  int64_t at = 0;
  for (size_t i : bucket.parameters) {
    const int64_t low = std::max(begin, at);
    const int64_t high = std::min(end, at + items[i].elements);
    if (low < high) parts.push_back({i, {low - at, high - low}, low});
    at += items[i].elements;
  }
  return parts;
}

std::vector<FlatRange> owned_ranges(std::span<const GradientItem> items, const MeshShape& shape,
                                    int rank, int64_t bucket_bytes) {
  std::vector<FlatRange> ranges;
  for (const GradientItem& item : items) ranges.push_back({0, item.elements});
  for (const Bucket& bucket : plan_buckets(items, shape, bucket_bytes)) {
    const GroupPlace place = gradient_group_place(items[bucket.parameters[0]].layout, shape, rank);
    for (size_t i : bucket.parameters) ranges[i] = {0, 0};
    for (const OwnedPart& part : owned_parts(bucket, items, place.rank, place.size)) {
      ranges[part.parameter] = part.range;
    }
  }
  return ranges;
}

SharedGradient shared_gradient(const Layout& layout, const MeshShape& shape,
                               const std::array<int, kAxes>& coordinates) {
  SharedGradient shared;
  for (Axis axis : sharing_axes(layout)) {
    shared.index = shared.index * shape[axis] + coordinates[static_cast<size_t>(axis)];
    shared.copies *= shape[axis];
  }
  return shared;
}

}  // namespace troupe
