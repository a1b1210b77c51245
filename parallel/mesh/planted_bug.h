// Known bugs of distributed training that tests plant to see that the verifier catches them. No
// configuration can ask for one; a layout without one costs a comparison with null.
#pragma once

#include <cstdint>

namespace troupe {

enum class PlantedBug : uint8_t {
  gradient_twice_under_ep,         // an expert gradient is added once per rank of its ep group
  averaged_over_wrong_group,       // a gradient is divided by the size of the group that sums it
  norm_without_experts,            // clipping acts on a norm that leaves the experts out
  balance_scale_of_micro_batches,  // balance terms are normalised by one micro-batch of the ranks
  balance_scale_under_cp,  // their gradients come back to a token from every cp rank, summed
  balance_scale_under_tp,  // they are divided by tp, as if each rank had a share of them
  router_gradient_twice_under_tp,  // summed over tp once more than by the gradient group
  statistic_twice_by_recompute,    // the second run of a recomputed block counts its tokens again
  stage_order,                     // pipeline stages hold each other's layers
  lost_token_in_second_hop,        // the last token that came to a node goes to none of its ranks
  stale_bucket,                    // a bucket is summed before its last gradient is in
  wrong_shard_offset,              // a sharded optimizer updates elements beside its own
  random_numbers_of_each_rank      // dropout and noise are drawn with a seed for each rank
};

}  // namespace troupe
