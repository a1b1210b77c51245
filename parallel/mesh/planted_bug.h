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
  stage_order,                     // pipeline stages hold each other's layers
  stale_bucket,                    // a bucket is summed before its last gradient is in
  wrong_shard_offset               // a sharded optimizer updates elements beside its own
};

}  // namespace troupe
