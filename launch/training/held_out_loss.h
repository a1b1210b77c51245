// The mean loss of a model on held-out windows, over all ranks.
#pragma once

#include "core/text/held_out.h"
#include "models/families/decoder.h"

namespace troupe {

struct HeldOutLoss {
  double nats_per_token = 0;
  int64_t predictions = 0;
};

// Each window starts without context. Windows are spread over the data ranks; the sum is taken
// window by window in their order, so it does not depend on the number of ranks. sequences: windows
// of one forward, more where groups of experts span several. Collective.
HeldOutLoss held_out_loss(Decoder& model, const HeldOut& held_out, int64_t sequences,
                          const Mesh& mesh, const std::shared_ptr<Device>& device);

}  // namespace troupe
