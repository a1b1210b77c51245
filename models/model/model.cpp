#include "models/model/model.h"

namespace troupe {

ModelOutput Model::forward(const TokenContext& tokens, const Tensor& targets,
                           const std::vector<SparseAssignment>* replay) {
  ModelOutput out;
  const MicroBatchContext micro_batch = stream(tokens);
  out.loss = loss(forward_chunk(0, {}, micro_batch, &out.routing, replay), micro_batch, targets);
  return out;
}

}  // namespace troupe
