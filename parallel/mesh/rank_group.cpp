#include "parallel/mesh/rank_group.h"

#include <algorithm>

#include "core/base/error.h"

namespace troupe {
namespace {

// How far apart the ranks are that differ by one on this axis.
int stride_of(const MeshShape& shape, Axis axis) {
  switch (axis) {
    case Axis::tp:
    case Axis::etp:
      return 1;
    case Axis::cp:
      return shape[Axis::tp];
    case Axis::dp:
      return shape[Axis::tp] * shape[Axis::cp];
    case Axis::ep:
      return shape[Axis::etp];
    case Axis::edp:
      return shape[Axis::etp] * shape[Axis::ep];
    case Axis::pp:
      break;
  }
  return shape[Axis::tp] * shape[Axis::cp] * shape[Axis::dp];
}

}  // namespace

RankGroup rank_group(const MeshShape& shape, int rank, const std::vector<Axis>& axes) {
  RankGroup group;
  group.ranks = {rank};
  const auto at = coordinates(shape, rank);
  for (Axis axis : axes) {
    const int size = shape[axis];
    if (size == 1) continue;
    const bool ends = axis == Axis::pp && axes.size() > 1;
    if (!ends) group.name += (group.name.empty() ? "" : "x") + std::string(name(axis));
    const int stride = stride_of(shape, axis);
    const int own = at[static_cast<size_t>(axis)];
    std::vector<int> more;
    for (const int member : group.ranks) {
      for (int i = 0; i < size; i += ends ? size - 1 : 1) {
        if (i != own) more.push_back(member + (i - own) * stride);
      }
    }
    group.ranks.insert(group.ranks.end(), more.begin(), more.end());
  }
  if (axes.size() > 1 && axes[0] == Axis::pp && shape[Axis::pp] > 1) {
    group.name = group.name.empty() ? "pp ends" : "pp ends x" + group.name;
  }
  if (group.name.empty()) group.name = "alone";
  std::sort(group.ranks.begin(), group.ranks.end());
  group.place = static_cast<int>(std::find(group.ranks.begin(), group.ranks.end(), rank) -
                                 group.ranks.begin());
  return group;
}

RankGroup world_group(const MeshShape& shape, int rank) {
  RankGroup group{"world", {}, rank};
  for (int i = 0; i < shape.world(); ++i) group.ranks.push_back(i);
  return group;
}

RankGroup gradient_ranks(const Layout& layout, const MeshShape& shape, int rank) {
  std::vector<Axis> axes;
  for (int i = 0; i < kAxes; ++i) {
    if (layout.gradient_partial[static_cast<size_t>(i)]) axes.push_back(static_cast<Axis>(i));
  }
  return rank_group(shape, rank, axes);
}

int given_node(const Parallelism& parallelism, int rank) {
  return parallelism.ranks_per_node > 0 ? rank / parallelism.ranks_per_node : 0;
}

std::vector<int> ep_nodes(const Parallelism& parallelism, const std::vector<int>& nodes, int rank) {
  const int ep = parallelism.shape[Axis::ep];
  const int etp = parallelism.shape[Axis::etp];
  const auto at = coordinates(parallelism.shape, rank);
  const std::vector<int> straight(static_cast<size_t>(ep), 0);
  if (parallelism.ep_kind == EpKind::flat) return straight;
  const int first = rank - at[static_cast<size_t>(Axis::ep)] * etp -
                    at[static_cast<size_t>(Axis::etp)];  // of the ep x etp block
  std::vector<int> own;
  for (int part = 0; part < etp; ++part) {
    std::vector<int> numbers;
    std::vector<int> found;
    for (int e = 0; e < ep; ++e) {
      const int node = nodes[static_cast<size_t>(first + e * etp + part)];
      const auto known = std::find(numbers.begin(), numbers.end(), node);
      found.push_back(static_cast<int>(known - numbers.begin()));
      if (known == numbers.end()) numbers.push_back(node);
    }
    if (part > 0 && found != own) return straight;
    own = found;
  }
  return own;
}

}  // namespace troupe
