// The groups of a mesh from its shape alone, without a communicator: for what is predicted.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "parallel/mesh/parallelism.h"

namespace troupe {

struct RankGroup {
  std::string name;        // as the communicators of a Mesh are named: "tp", "dpxcp", "alone"
  std::vector<int> ranks;  // of the world, rising
  int place = 0;           // of the rank in question among them
  int size() const { return static_cast<int>(ranks.size()); }
};

// The ranks that differ from `rank` on these axes of one folding only. pp may stand beside others
// only for a tied embedding: then it means the first and the last stage, of which `rank` is on one.
RankGroup rank_group(const MeshShape& shape, int rank, const std::vector<Axis>& axes);
RankGroup world_group(const MeshShape& shape, int rank);
// The ranks over which a gradient of this layout is summed (Mesh::gradient_group).
RankGroup gradient_ranks(const Layout& layout, const MeshShape& shape, int rank);

// The node that a rank is on by parallel.ranks_per_node; 0 where nodes are left to the job.
int given_node(const Parallelism& parallelism, int rank);
// Of each rank of the ep group of `rank` its node, numbered from 0 in the order of the group, where
// `nodes` is that of each rank of the world. All on node 0 where rows go straight: with ep_kind
// flat, or where the parts of an expert (etp) lie on nodes in different ways.
std::vector<int> ep_nodes(const Parallelism& parallelism, const std::vector<int>& nodes, int rank);

}  // namespace troupe
