// Known bugs of distributed training that tests plant to see that the verifier catches them. No
// configuration can ask for one; a layout without one costs a comparison with null.
#pragma once

#include <cstdint>

namespace troupe {

enum class PlantedBug : uint8_t {
  gradient_twice_under_ep,         // an expert gradient is added once per rank of its ep group
  averaged_over_wrong_group,       // a gradient is divided by the size of the group that sums it
  norm_without_experts,            // clipping acts on a norm that leaves the experts out
  balance_scale_under_cp,          // balance terms are added once per cp rank
  balance_scale_under_tp,          // balance terms are added once per tp rank
  balance_scale_of_micro_batches,  // balance terms are normalised by one micro-batch of the ranks
  router_gradient_twice_under_tp,  // a router's gradient is added once per tp rank
  statistic_twice_by_recompute,    // the repeated forward counts routing again
  stage_order,                     // pipeline stages hold each other's layers
  lost_token_in_second_hop,        // the hierarchical exchange drops a row inside the node
  stale_bucket,                    // a bucket is summed before its last gradient is in
  wrong_shard_offset,              // a sharded optimizer updates elements beside its own
  random_per_rank                  // random draws are keyed by rank instead of by sample
};

}  // namespace troupe
