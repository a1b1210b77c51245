#include "models/parts/micro_batch_context.h"

namespace troupe {

Tensor stream_draws(const MicroBatchContext& stream, const std::shared_ptr<Device>& device) {
  const std::vector<int32_t>& tokens = stream.sharding->stream_rows();
  std::vector<int64_t> draws(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i)
    draws[i] = static_cast<int64_t>(stream.tokens.draw_index(tokens[i]));
  return Tensor::from(draws, {static_cast<int64_t>(draws.size())}, device);
}

}  // namespace troupe
