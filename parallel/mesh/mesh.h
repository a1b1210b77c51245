// The mesh: how the ranks of one world are laid out over the axes, twice. Attention folds them as
// pp x dp x cp x tp, experts as pp x edp x ep x etp; the products of both are the world, pp is
// shared. Rank order: tp fastest, then cp, dp, pp; and etp fastest, then ep, edp, pp. Size-1 axes
// are valid groups.
#pragma once

#include <array>
#include <memory>

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
  Communicator& group(Axis axis) const { return *groups_[static_cast<size_t>(axis)]; }
  // The ranks over which a gradient of this layout is summed (the product of its partial axes).
  Communicator& gradient_group(const Layout& layout) const;

 private:
  MeshShape shape_;
  std::array<int, kAxes> coordinates_{};
  std::shared_ptr<Communicator> world_;
  std::array<std::unique_ptr<Communicator>, kAxes> groups_;
};

// The part of a tensor that the rank at these coordinates holds. Throws when a block cut does not
// divide.
Box local_box(const Layout& layout, const MeshShape& shape,
              const std::array<int, kAxes>& coordinates);
// On how many ranks the same element of the value stands.
int64_t replicas(const Layout& layout, const MeshShape& shape);

}  // namespace troupe
