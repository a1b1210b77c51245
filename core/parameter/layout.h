// How a tensor is cut over the axes of the mesh: the ONE source for its local shape, init slice,
// gradient group, share of the gradient norm and checkpoint slice. Plain data; parallel/mesh does
// the arithmetic with ranks.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/tensor/shape.h"

namespace troupe {

// The axes of both foldings of the ranks: attention pp x dp x cp x tp, experts pp x edp x ep x etp.
enum class Axis : uint8_t { pp, dp, cp, tp, edp, ep, etp };
constexpr int kAxes = 7;
const char* name(Axis axis);

// Which folding a tensor lives on.
enum class MeshKind : uint8_t { attention, experts };

enum class Cut : uint8_t { block, uneven, zigzag };

struct DimCut {
  Axis axis;
  Cut cut = Cut::block;
};

struct DimLayout {
  std::vector<DimCut> cuts;  // outermost first; empty = not cut
  // Sizes of parts that are each cut on their own (q|k|v, gate|up); empty = one.
  std::vector<int64_t> sections;
};

enum class AxisState : uint8_t { replicated, shard, partial };

struct Layout {
  Shape global;
  std::vector<DimLayout> dims;  // one per dim of `global`
  MeshKind mesh = MeshKind::attention;
  // State of the VALUE on each axis: shard where a dim is cut by it, else replicated.
  AxisState state(Axis axis) const;
  // State of the GRADIENT before it is summed: partial on the axes over which tokens are spread.
  // On pp only for a parameter that the first and the last stage both hold (a tied embedding): over
  // these two.
  std::array<bool, kAxes> gradient_partial{};

  static Layout replicated(const Shape& global, MeshKind mesh,
                           std::initializer_list<Axis> gradient_partial);
  // dim `dim` cut in equal blocks over `axis`.
  Layout& shard(int dim, Axis axis, Cut cut = Cut::block);
};

// A box of the global tensor: per dim where it begins and how much of it is here.
struct Box {
  Shape offset;
  Shape size;
  bool operator==(const Box& other) const = default;
};

// A part of the global tensor and where it begins in the local one.
struct LocalPart {
  Box global;
  Shape local_offset;
};

// What a rank holds of a global tensor: the sizes of its local tensor, and the boxes that fill it,
// each element once (one for plain block cuts, several with sections or zigzag cuts, none if the
// rank holds nothing).
struct LocalSlice {
  Shape shape;
  std::vector<LocalPart> parts;
  LocalSlice() = default;
  LocalSlice(Shape local, std::vector<LocalPart> boxes) : shape(local), parts(std::move(boxes)) {}
  // One box is the whole local tensor.
  LocalSlice(const Box& box);  // NOLINT(google-explicit-constructor)
};

}  // namespace troupe
