// The hop between nodes: a token crosses to each node that holds some of its experts once, however
// many they are; there it is an arrival with an assignment of its own, which the Dispatcher of the
// node's ranks carries on. On the way back the node's results of a token are summed first.
//
// Each rank sends the rows for a node to one rank there: the one with its own place within its
// node (counted round where a node has fewer ranks). The rows for the own node stay where they are.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/phase_clock.h"
#include "moe/dispatch/assignment.h"
#include "moe/dispatch/placement.h"
#include "parallel/comm/communicator.h"

namespace troupe {

struct NodePlan {
  // Rows leave sorted by (rank that takes them, token). Of each: its token.
  std::vector<int32_t> row_token;
  // Their pairs, by row and then by expert, as numbers in the assignment.
  std::vector<int32_t> pairs;
  // One byte row per leaving row: the bits of the node's experts that it goes to, by number.
  std::vector<uint8_t> marks;
  std::vector<int64_t> send_rows;   // [ep ranks]
  std::vector<int64_t> send_pairs;  // [ep ranks]
  std::vector<int64_t> recv_rows;   // [ep ranks]
  std::vector<int64_t> recv_pairs;  // [ep ranks]
  // Rows of token t, in the order of leaving.
  std::vector<int32_t> token_offset;  // [tokens + 1]
  std::vector<int32_t> token_rows;

  int64_t arrivals() const;
};

// The rank of `to` that takes the rows of `rank` for that node. node: of each rank.
int node_gateway(const std::vector<int>& node, int rank, int to);

class NodeHop {
 public:
  // node: of each rank of ep, numbered from 0. The group must outlive backward.
  NodeHop(Placement placement, std::vector<int> node, Communicator& ep, std::string site);

  struct Arrived {
    Tensor x_AD;
    SparseAssignment assignment;  // of the arrivals, to experts of this node; weights in wide(x)
    std::shared_ptr<const NodePlan> plan;
  };
  // x: [T, D]. Collective over ep: counts, marks, rows and gate weights.
  Arrived out(const Tensor& x_TD, const SparseAssignment& assignment, PhaseClock* clock) const;
  // The node's sums for each arrival -> [T, D], added in the order of leaving. Collective over ep.
  Tensor back(const Tensor& rows_AD, const NodePlan& plan, PhaseClock* clock) const;

  // Where the experts of this node live among its ranks of ep; the others have no home (rank -1).
  Placement placement_on_node() const;

 private:
  int64_t mark_bytes() const;
  int gateway(int rank, int node) const;
  NodePlan plan_sends(const SparseAssignment& assignment) const;
  void exchange_counts(NodePlan& plan) const;
  SparseAssignment arrived_assignment(const NodePlan& plan) const;

  Placement placement_;
  std::vector<int> node_;
  std::vector<std::vector<int>> ranks_;        // of each node
  std::vector<std::vector<int32_t>> experts_;  // of each node, rising
  std::vector<int32_t> place_;                 // [experts]: number on its node
  Communicator& ep_;
  std::string site_;
};

}  // namespace troupe
