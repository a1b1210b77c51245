#include "parallel/dp/ownership.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace troupe {
namespace {

const std::vector<MeshShape> kMeshes = {MeshShape(),
                                        MeshShape::of({.dp = 3}),
                                        MeshShape::of({.dp = 4, .ep = 2}),
                                        MeshShape::of({.dp = 2, .cp = 2, .ep = 4}),
                                        MeshShape::of({.dp = 2, .tp = 3, .ep = 3}),
                                        MeshShape::of({.dp = 2, .tp = 3}),
                                        MeshShape::of({.dp = 2, .cp = 2, .tp = 2, .etp = 2})};

// Parameters of every kind: replicated over tp with and without a gradient that is summed there,
// cut unevenly over tp, banks of experts, a scalar.
std::vector<Layout> layouts() {
  const auto dense = [](const Shape& shape, bool over_tp) {
    return over_tp ? Layout::replicated(shape, MeshKind::attention, {Axis::dp, Axis::cp, Axis::tp})
                   : Layout::replicated(shape, MeshKind::attention, {Axis::dp, Axis::cp});
  };
  return {dense({7}, false),
          dense({13, 5}, false).shard(0, Axis::tp, Cut::uneven),
          dense({12, 3}, true),
          Layout::replicated({12, 6, 5}, MeshKind::experts, {Axis::edp})
              .shard(0, Axis::ep)
              .shard(1, Axis::etp),
          dense({12, 3}, false).shard(0, Axis::tp),
          dense({}, false),
          dense({9, 9}, false)};
}

std::vector<GradientItem> items_of(const MeshShape& shape, int rank) {
  std::vector<GradientItem> items;
  for (const Layout& layout : layouts()) {
    const int64_t elements = local_shape(layout, shape, coordinates(shape, rank)).elements();
    items.push_back({layout, elements, DType::f32});
  }
  return items;
}

// Every element of the global tensor is owned; ranks that own some of the same elements own all of
// the same ones, and are as many as have the same gradient.
TEST(Ownership, EveryElementHasOneOwner) {
  for (const MeshShape& shape : kMeshes) {
    for (int64_t bucket_bytes : {40, 300, 100000}) {
      std::vector<std::map<int64_t, int64_t>> owners(layouts().size());
      for (int rank = 0; rank < shape.world(); ++rank) {
        const auto ranges = owned_ranges(items_of(shape, rank), shape, rank, bucket_bytes);
        for (size_t i = 0; i < ranges.size(); ++i) {
          const Layout layout = layouts()[i];
          const LocalSlice slice = local_slice(layout, shape, coordinates(shape, rank));
          const Shape strides = contiguous_strides(layout.global);
          for (const RangeBox& box : boxes_of_range(slice, ranges[i])) {
            for (int64_t e = 0; e < box.global.size.elements(); ++e) {
              int64_t rest = e;
              int64_t at = 0;
              for (int dim = strides.rank() - 1; dim >= 0; --dim) {
                at += (box.global.offset[dim] + rest % box.global.size[dim]) * strides[dim];
                rest /= box.global.size[dim];
              }
              ++owners[i][at];
            }
          }
        }
      }
      for (size_t i = 0; i < owners.size(); ++i) {
        const Layout layout = layouts()[i];
        const int64_t copies = shared_gradient(layout, shape, coordinates(shape, 0)).copies;
        EXPECT_EQ(static_cast<int64_t>(owners[i].size()), layout.global.elements());
        for (const auto& [at, count] : owners[i]) EXPECT_EQ(count, copies) << i << " at " << at;
      }
    }
  }
}

TEST(Ownership, RanksWithTheSameGradientOwnTheSame) {
  for (const MeshShape& shape : kMeshes) {
    std::map<std::vector<int64_t>, FlatRange> known;
    for (int rank = 0; rank < shape.world(); ++rank) {
      const auto at = coordinates(shape, rank);
      const auto ranges = owned_ranges(items_of(shape, rank), shape, rank, 300);
      for (size_t i = 0; i < ranges.size(); ++i) {
        std::vector<int64_t> place{static_cast<int64_t>(i)};
        for (int axis = 0; axis < kAxes; ++axis) {
          const auto sharing = sharing_axes(layouts()[i]);
          const bool attention = axis < static_cast<int>(Axis::edp);
          const bool same = (layouts()[i].mesh == MeshKind::attention) == attention;
          const bool shared =
              std::find(sharing.begin(), sharing.end(), static_cast<Axis>(axis)) != sharing.end();
          if (same && !shared) place.push_back(at[static_cast<size_t>(axis)]);
        }
        const auto [found, fresh] = known.emplace(place, ranges[i]);
        EXPECT_EQ(found->second, ranges[i]) << "parameter " << i << " rank " << rank;
      }
    }
  }
}

TEST(Ownership, PiecesOfABucketDifferByOneElementAtMost) {
  for (const MeshShape& shape : kMeshes) {
    const auto items = items_of(shape, 0);
    for (const Bucket& bucket : plan_buckets(items, shape, 300)) {
      const int size = gradient_group_place(items[bucket.parameters[0]].layout, shape, 0).size;
      int64_t least = bucket.elements;
      int64_t most = 0;
      int64_t next = 0;
      for (int owner = 0; owner < size; ++owner) {
        int64_t count = 0;
        for (const OwnedPart& part : owned_parts(bucket, items, owner, size)) {
          EXPECT_EQ(part.bucket_begin, next);
          next += part.range.count;
          count += part.range.count;
        }
        EXPECT_EQ(next, owner_begins(bucket.elements, size)[static_cast<size_t>(owner) + 1]);
        least = std::min(least, count);
        most = std::max(most, count);
      }
      EXPECT_EQ(next, bucket.elements);
      EXPECT_LE(most - least, 1);
    }
  }
}

TEST(Ownership, WithoutPeersARankOwnsEverything) {
  const auto items = items_of(kMeshes[0], 0);
  const auto ranges = owned_ranges(items, kMeshes[0], 0);
  for (size_t i = 0; i < items.size(); ++i) EXPECT_EQ(ranges[i], (FlatRange{0, items[i].elements}));
}

}  // namespace
}  // namespace troupe
