#include "models/engine/batch_tensors.h"

#include <algorithm>

namespace troupe {

BatchTensors to_tensors(const TokenBatch& batch, bool documents,
                        const std::shared_ptr<Device>& device, const WholeBatch& whole) {
  BatchTensors out;
  const Shape shape{batch.sequences * batch.seq_len};
  out.context =
      token_context(batch.samples, batch.seq_len,
                    Tensor::from(std::span<const int32_t>(batch.ids), shape, device), whole);
  std::vector<int32_t> targets = batch.targets;
  for (size_t t = 0; t < targets.size(); ++t) {
    if (batch.valid[t] == 0) targets[t] = -1;
  }
  out.targets = Tensor::from(std::span<const int32_t>(targets), shape, device);
  if (documents)
    out.context.documents = Tensor::from(std::span<const int32_t>(batch.documents), shape, device);
  if (std::count(batch.valid.begin(), batch.valid.end(), uint8_t{0}) > 0) {
    out.context.valid = batch.valid;
  }
  return out;
}

}  // namespace troupe
