// What the exchange of rows between tokens and experts sends.
#pragma once

#include "models/cost/outgoing.h"

namespace troupe {

// One MoE layer of rank `rank` in one micro-batch; `times` such micro-batches are added. forwards:
// of the layer (2 with recompute). Every expert is taken to get as many rows, and which experts a
// token chooses to be any as likely as any other.
//
// Flat: counts of rows, then rows and gate weights to the ranks of their experts, results back; in
// backward the gradients of these three. Hierarchical: between nodes a token's row once for each
// node that holds some of its experts, with marks of these and their gate weights; from the rank
// that takes them on as flat, among the ranks of the node.
void add_expert_traffic(const CostInputs& config, const MoEConfig& moe, int rank, int64_t forwards,
                        int64_t times, Outgoing& out);

}  // namespace troupe
