#include "models/engine/batch_tensors.h"

#include <algorithm>

namespace troupe {

BatchTensors to_tensors(const TokenBatch& batch, bool documents,
                        const std::shared_ptr<Device>& device, const WholeBatch& whole) {
  BatchTensors out;
  out.context.global_sequences = whole.sequences;
  out.context.global_tokens = whole.tokens;
  out.context.global_predictions = whole.predictions;
  out.context.micro_batch = whole.micro_batch;
  const Shape shape{batch.sequences * batch.seq_len};
  std::vector<int32_t> targets = batch.targets;
  for (size_t t = 0; t < targets.size(); ++t) {
    if (batch.valid[t] == 0) targets[t] = -1;
  }
  out.targets = Tensor::from(std::span<const int32_t>(targets), shape, device);
  out.context.sequences = batch.sequences;
  out.context.seq_len = batch.seq_len;
  out.context.token_ids = Tensor::from(std::span<const int32_t>(batch.ids), shape, device);
  out.context.samples = batch.samples;
  if (documents)
    out.context.documents = Tensor::from(std::span<const int32_t>(batch.documents), shape, device);
  if (std::count(batch.valid.begin(), batch.valid.end(), uint8_t{0}) > 0) {
    out.context.valid = batch.valid;
  }
  return out;
}

}  // namespace troupe
