// The mesh: how the ranks of one world are laid out over the axes, twice. Attention folds them as
// pp x dp x cp x tp, experts as pp x edp x ep x etp; the products of both are the world, pp is
// shared. Rank order: tp fastest, then cp, dp, pp; and etp fastest, then ep, edp, pp. Size-1 axes
// are valid groups.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "core/parameter/layout.h"
#include "parallel/comm/communicator.h"
#include "parallel/mesh/parallelism.h"

namespace troupe {

class Mesh {
 public:
  // Splits the world into one communicator per axis. Collective. Throws Error(usage) when the shape
  // does not fit the world, with the arithmetic.
  Mesh(const Parallelism& parallelism, std::shared_ptr<Communicator> world);

  const Parallelism& parallelism() const { return parallelism_; }
  const MeshShape& shape() const { return parallelism_.shape; }
  int size(Axis axis) const { return shape()[axis]; }
  const std::array<int, kAxes>& coordinates() const { return coordinates_; }
  int coordinate(Axis axis) const { return coordinates_[static_cast<size_t>(axis)]; }
  // Of all ranks.
  Communicator& all() const { return *world_; }
  World& world() const { return world_->world(); }
  Communicator& group(Axis axis) const;
  // The ranks that differ from this one on these two axes of one folding only, in rank order.
  Communicator& group(Axis a, Axis b) const;
  // The ranks of group(Axis::pp) once more: what goes back through the pipeline has messages of its
  // own, so that their order is that of each direction alone.
  Communicator& pipeline_back() const;
  // The ranks over which a gradient of this layout is summed (the product of its partial axes;
  // where pp is one of them: of the first and the last stage).
  Communicator& gradient_group(const Layout& layout) const;
  // The same ranks once more, for values that are gathered while gradients are summed: the order of
  // messages is that of each alone. Only with zero 3, and not for two stages.
  Communicator& value_group(const Layout& layout) const;
  // Nodes are numbered from 0 in the order of their first ranks: ranks that share memory, or blocks
  // of parallel.ranks_per_node ranks.
  int node(int world_rank) const { return nodes_[static_cast<size_t>(world_rank)]; }
  // The world rank of rank `rank` of this rank's ep group.
  int world_rank_of_ep(int rank) const;
  // With ep_kind hierarchical: for each rank of this rank's ep group the node it is on, numbered
  // from 0 in the order of the group. All on one node where rows go straight: with ep_kind flat, or
  // where the parts of an expert (etp) lie on several nodes in different ways.
  std::vector<int> ep_nodes() const;
  // The ranks of this rank's ep group that are on its node by ep_nodes(), in rank order.
  Communicator& ep_node_group() const;
  // Sum of the traffic of the world and of all groups of this mesh, by kind and call site.
  TrafficTable traffic() const;

 private:
  using Axes = uint8_t;  // a set of axes, one bit each; the last bit: first and last stage
  Parallelism parallelism_;
  std::array<int, kAxes> coordinates_{};
  std::shared_ptr<Communicator> world_;
  // One group for every set of axes that some layout may sum over: all subsets of {dp, cp, tp} and
  // of {edp, ep, etp}, {pp}, and both ends of pp x dp x cp (null in between); axes of size 1 are
  // left out of the sets.
  std::map<Axes, std::unique_ptr<Communicator>> groups_;
  std::array<std::unique_ptr<Communicator>, kAxes> alone_;      // named groups of size-1 axes
  std::unique_ptr<Communicator> solo_;                          // for an empty set of axes
  std::unique_ptr<Communicator> pipeline_back_;                 // where pp > 1
  std::map<Axes, std::unique_ptr<Communicator>> value_groups_;  // with zero 3
  std::vector<int> nodes_;                                      // [world]
  std::unique_ptr<Communicator> ep_node_group_;                 // where ep_nodes() has several
  Communicator& group_of(Axes axes, Axis first) const;
};

// Does every rank keep its part of the value only, and gather the rest when it is used? With zero 3
// where several ranks of one stage share the update; a value on two stages stays whole.
bool value_is_sharded(const Layout& layout, const Parallelism& parallelism);

// What the rank at these coordinates holds, its parts in row-major order of the local tensor.
// Throws Error(usage) when a block cut does not divide.
LocalSlice local_slice(const Layout& layout, const MeshShape& shape,
                       const std::array<int, kAxes>& coordinates);
// Sizes of the local tensor.
Shape local_shape(const Layout& layout, const MeshShape& shape,
                  const std::array<int, kAxes>& coordinates);

}  // namespace troupe
