#include "parallel/dp/bucket_plan.h"

#include <algorithm>
#include <map>
#include <tuple>

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

unsigned sharing_key(const Layout& layout, const MeshShape& shape) {
  unsigned key = 0;
  for (Axis axis : sharing_axes(layout)) {
    if (shape[axis] > 1) key |= 1U << static_cast<unsigned>(axis);
  }
  return key;
}

}  // namespace

std::vector<Axis> sharing_axes(const Layout& layout) {
  const bool experts = layout.mesh == MeshKind::experts;
  const std::array<Axis, 3> axes = experts ? std::array{Axis::edp, Axis::ep, Axis::etp}
                                           : std::array{Axis::dp, Axis::cp, Axis::tp};
  std::vector<Axis> out;
  for (Axis axis : axes) {
    if (layout.state(axis) == AxisState::shard) continue;
    if (!layout.gradient_partial[static_cast<size_t>(axis)]) out.push_back(axis);
  }
  return out;
}

// Members of a group are ordered by world rank: the later axis of a folding is the faster one.
GroupPlace gradient_group_place(const Layout& layout, const MeshShape& shape, int rank) {
  const unsigned key = group_key(layout, shape);
  const auto at = coordinates(shape, rank);
  GroupPlace place;
  for (size_t axis = 0; axis < kAxes; ++axis) {
    if ((key >> axis & 1U) == 0) continue;
    // Over pp only the first and the last stage hold the same parameter.
    const bool ends = static_cast<Axis>(axis) == Axis::pp;
    const int size = ends ? 2 : shape.size[axis];
    place.size *= size;
    place.rank = place.rank * size + (ends ? std::min(at[axis], 1) : at[axis]);
  }
  return place;
}

std::vector<Bucket> plan_buckets(std::span<const GradientItem> items, const MeshShape& shape,
                                 int64_t bucket_bytes) {
  std::vector<Bucket> buckets;
  std::map<std::tuple<unsigned, unsigned, DType>, size_t> open;
  for (size_t i = items.size(); i-- > 0;) {
    const GradientItem& item = items[i];
    const unsigned key = group_key(item.layout, shape);
    if (key == 0 || item.elements == 0) continue;
    const auto element_bytes = static_cast<int64_t>(size_of(item.dtype));
    const std::tuple kind{key, sharing_key(item.layout, shape), item.dtype};
    const auto found = open.find(kind);
    size_t index = buckets.size();
    if (found != open.end() &&
        (buckets[found->second].elements + item.elements) * element_bytes <= bucket_bytes) {
      index = found->second;
    } else {
      buckets.push_back({{}, 0, item.dtype});
      open[kind] = index;
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

std::vector<int64_t> gradient_sync_bytes_to(std::span<const GradientItem> items,
                                            const MeshShape& shape, int rank, int64_t bucket_bytes,
                                            int zero, int64_t rounds) {
  std::vector<int64_t> to;
  for (const Bucket& bucket : plan_buckets(items, shape, bucket_bytes)) {
    const GroupPlace place = gradient_group_place(items[bucket.parameters[0]].layout, shape, rank);
    const auto element_bytes = static_cast<int64_t>(size_of(bucket.dtype));
    const auto piece = [&](int of) {
      return (piece_begin(bucket.elements, of + 1, place.size) -
              piece_begin(bucket.elements, of, place.size)) *
             element_bytes;
    };
    const Layout& layout = items[bucket.parameters[0]].layout;
    const bool whole = zero < 3 || layout.gradient_partial[static_cast<size_t>(Axis::pp)];
    to.resize(static_cast<size_t>(place.size), 0);
    for (int peer = 0; peer < place.size; ++peer) {
      if (peer == place.rank) continue;
      int64_t& bytes = to[static_cast<size_t>(peer)];
      if (zero == 0) {
        bytes += rounds *
                 all_reduce_bytes_to(bucket.elements, element_bytes, place.rank, peer, place.size);
      } else {
        bytes += rounds * piece(peer);
        if (whole) bytes += piece(place.rank);
      }
    }
  }
  return to;
}

}  // namespace troupe
