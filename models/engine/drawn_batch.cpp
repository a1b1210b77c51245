#include "models/engine/drawn_batch.h"

#include "core/base/random.h"

namespace troupe {

TokenBatch drawn_batch(const ModelConfig& model, int64_t step, int64_t global_batch,
                       const std::vector<int64_t>& samples) {
  TokenBatch batch;
  batch.sequences = static_cast<int64_t>(samples.size());
  batch.seq_len = model.seq_len;
  batch.samples = samples;
  batch.predictions = batch.sequences * batch.seq_len;
  const Random random(7, "drawn tokens");
  const auto vocab = static_cast<uint64_t>(model.vocab);
  // Where the second document of a sample begins; 0 = it has one only.
  const auto second_begin = [&](int64_t sample) {
    return model.mask_documents ? (sample + step) % batch.seq_len : 0;
  };
  batch.step_predictions = global_batch * batch.seq_len;
  for (int64_t sample = 0; sample < global_batch; ++sample)
    if (second_begin(sample) > 0) --batch.step_predictions;
  for (int64_t sample : samples) {
    const int64_t second = second_begin(sample);
    const int64_t first = (step * global_batch + sample) * (batch.seq_len + 1);
    for (int64_t s = 0; s < batch.seq_len; ++s) {
      const auto at = static_cast<uint64_t>(first + s);
      batch.ids.push_back(static_cast<int32_t>(random.below(at, vocab)));
      const bool predicted = second == 0 || s + 1 != second;  // not the first of a document
      batch.targets.push_back(predicted ? static_cast<int32_t>(random.below(at + 1, vocab))
                                        : kNoTarget);
      if (!predicted) --batch.predictions;
      batch.documents.push_back(second > 0 && s >= second ? 1 : 0);
      batch.valid.push_back(1);
    }
  }
  return batch;
}

}  // namespace troupe
