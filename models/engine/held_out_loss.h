// The mean loss of a model on held-out windows, over all ranks.
#pragma once

#include <functional>

#include "core/text/held_out.h"
#include "models/model/model.h"

namespace troupe {

struct HeldOutLoss {
  double nats_per_token = 0;  // when complete
  int64_t predictions = 0;
  bool complete = true;
};

// Each window starts without context. Windows are spread over the data ranks; the sum is taken
// window by window in their order, so it does not depend on the number of ranks. sequences: windows
// of one forward, more where groups of experts span several. Collective. batch_done: called after
// each batch of this rank; false, which all ranks must give alike, leaves the rest undone.
HeldOutLoss held_out_loss(
    Model& model, const HeldOut& held_out, int64_t sequences, const Mesh& mesh,
    const std::shared_ptr<Device>& device,
    const std::function<bool(int64_t done, int64_t batches)>& batch_done = {});

}  // namespace troupe
