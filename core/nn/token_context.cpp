#include "core/nn/token_context.h"

namespace troupe {

TokenContext token_context(std::vector<int64_t> samples, int64_t seq_len, Tensor token_ids,
                           const WholeBatch& whole) {
  TokenContext out;
  out.sequences = static_cast<int64_t>(samples.size());
  out.seq_len = seq_len;
  out.token_ids = std::move(token_ids);
  out.samples = std::move(samples);
  out.global_sequences = whole.sequences;
  out.global_tokens = whole.tokens;
  out.global_predictions = whole.predictions;
  out.micro_batch = whole.micro_batch;
  return out;
}

}  // namespace troupe
