// The mesh: how the ranks of one world are laid out over the axes, twice. Attention folds them as
// pp x dp x cp x tp, experts as pp x edp x ep x etp; the products of both are the world, pp is
// shared. Rank order: tp fastest, then cp, dp, pp; and etp fastest, then ep, edp, pp. Size-1 axes
// are valid groups.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "core/parameter/layout.h"
#include "parallel/comm/communicator.h"

namespace troupe {

struct MeshShape {
  std::array<int, kAxes> size{1, 1, 1, 1, 1, 1, 1};
  int operator[](Axis axis) const { return size[static_cast<size_t>(axis)]; }
  int& operator[](Axis axis) { return size[static_cast<size_t>(axis)]; }
  int world() const;  // pp * dp * cp * tp
  // dp data ranks, of which groups of ep share the experts: edp = dp / ep.
  static MeshShape data_expert(int dp, int ep);
};

// Where `rank` stands on every axis. Pure arithmetic, no communicator.
std::array<int, kAxes> coordinates(const MeshShape& shape, int rank);

class Mesh {
 public:
  // Splits the world into one communicator per axis. Collective. Throws Error(usage) when the shape
  // does not fit the world, with the arithmetic.
  Mesh(const MeshShape& shape, std::shared_ptr<Communicator> world);

  const MeshShape& shape() const { return shape_; }
  int size(Axis axis) const { return shape_[axis]; }
  int coordinate(Axis axis) const { return coordinates_[static_cast<size_t>(axis)]; }
  Communicator& world() const { return *world_; }
  Communicator& group(Axis axis) const;
  // The ranks over which a gradient of this layout is summed (the product of its partial axes).
  Communicator& gradient_group(const Layout& layout) const;
  // Sum of the traffic of the world and of all groups of this mesh, by kind and call site.
  TrafficTable traffic() const;

 private:
  using Axes = uint8_t;  // a set of axes, one bit each
  MeshShape shape_;
  std::array<int, kAxes> coordinates_{};
  std::shared_ptr<Communicator> world_;
  // One group for every set of axes that some layout may sum over: all subsets of {dp, cp, tp} and
  // of {edp, ep, etp}, and {pp}; axes of size 1 are left out of the sets.
  std::map<Axes, std::unique_ptr<Communicator>> groups_;
  std::array<std::unique_ptr<Communicator>, kAxes> alone_;  // named groups of size-1 axes
  std::unique_ptr<Communicator> solo_;                      // for an empty set of axes
  Communicator& group_of(Axes axes, Axis first) const;
};

// A part of the global tensor and where it begins in the local one.
struct LocalPart {
  Box global;
  Shape local_offset;
};
// All parts that the rank at these coordinates holds, in row-major order of the local tensor: one
// for plain block cuts, several with sections or zigzag cuts. Empty parts are left out. Throws
// Error(usage) when a block cut does not divide.
std::vector<LocalPart> local_parts(const Layout& layout, const MeshShape& shape,
                                   const std::array<int, kAxes>& coordinates);
// Sizes of the local tensor.
Shape local_shape(const Layout& layout, const MeshShape& shape,
                  const std::array<int, kAxes>& coordinates);
// The part of a tensor that the rank at these coordinates holds, where it is one box (of size 0 if
// the rank holds nothing). Throws Error(usage) when a block cut does not divide.
Box local_box(const Layout& layout, const MeshShape& shape,
              const std::array<int, kAxes>& coordinates);
// On how many ranks of one pipeline stage the same element of the value stands (a parameter lives
// on one stage; a tied one is counted by its owner).
int64_t replicas(const Layout& layout, const MeshShape& shape);
// Which of the replicas the rank at these coordinates is, in [0, replicas).
int64_t replica_index(const Layout& layout, const MeshShape& shape,
                      const std::array<int, kAxes>& coordinates);

}  // namespace troupe
