// What crosses between nodes, and how long it takes, when the same tokens go to as many experts in
// three ways: straight to each expert's rank (flat), once per node (hierarchical), and to one group
// of experts that lies on one node (smile). One MoE layer and training steps of a small model.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "launch/config/run_config.h"
#include "launch/training/training_data.h"
#include "parallel/comm/communicator.h"

namespace troupe {

struct NodesRow {
  std::string exchange;  // flat, hierarchical or smile
  int64_t top_k = 0;
  // One pass forward and backward (layer), or one training step (model), all ranks together:
  // everything that leaves a node, counts and other metadata included.
  double bytes = 0;
  double messages = 0;
  double ms = 0;     // median
  double speed = 1;  // of `flat` with as many experts; median of the ratios within a repetition
  double loss = 0;   // model: held-out nats per token after the last step
};

struct NodesBench {
  int nodes = 0;
  int ranks = 0;
  std::vector<NodesRow> layer;
  std::vector<NodesRow> model;
  // Hierarchical with top-8 of 64: bytes over those of the plain rows, one for each token and
  // expert of another node, and one for each token and rank of another node.
  double of_expert_rows = 0;
  double of_rank_rows = 0;
};

// The layer that is measured; every rank has as many tokens.
struct NodesLayer {
  static constexpr int64_t kDim = 512;
  static constexpr int64_t kExperts = 64;
  static constexpr int64_t kFfnDim = 32;
  static constexpr int64_t kTokens = 512;
};

// config: of the model, router topk; all ranks share the experts of a layer, and each takes an
// equal part of the batch. Nodes are those of the ranks, or blocks of parallel.ranks_per_node.
// Throws Error(usage) where experts or batch do not divide. Collective.
NodesBench bench_nodes(const RunConfig& config, TrainingData& data,
                       const std::shared_ptr<Communicator>& world,
                       const std::shared_ptr<Device>& device, int64_t repeats);

}  // namespace troupe
