// The part of a block that works on each token for itself: a dense network, or experts.
#pragma once

#include <memory>

#include "models/parts/micro_batch_context.h"
#include "models/parts/part.h"
#include "moe/layer/moe_layer.h"

namespace troupe {

// What a block with experts tells about one micro-batch, besides its output.
struct RoutingRecord {
  // Values without a tape, for logs: their gradient is attached to the block's output.
  std::vector<LossTerm> losses;
  RouterStats stats;
  SparseAssignment assignment;
};

class FeedForward {
 public:
  virtual ~FeedForward() = default;
  // x_TD: stream rows, already normalised -> stream rows. residual_TD: the same before the norm,
  // for routers that read them. sharding: null where this rank holds all
  // tokens (generation). record: filled if there are experts. replay: routes as recorded instead
  // of choosing; may be null.
  virtual Tensor forward(const Tensor& x_TD, const Tensor& residual_TD, const TokenContext& tokens,
                         const TokenSharding* sharding, RoutingRecord& record,
                         const SparseAssignment* replay) = 0;
  virtual MoELayer* moe() { return nullptr; }
  virtual void parameters(std::vector<Parameter*>& out) = 0;
};

using FeedForwardPart = std::shared_ptr<const NamedPart<FeedForward>>;

// NAME.gate_up.weight [2F, D] and NAME.down.weight [D, F].
FeedForwardPart swiglu_part(int64_t dim, int64_t ffn_dim);
// NAME.up.weight [F, D], NAME.up.bias, NAME.down.weight [D, F] and NAME.down.bias, with the GELU of
// GPT-2 between them.
FeedForwardPart gelu_part(int64_t dim, int64_t ffn_dim);
// vocab: for hash routing.
FeedForwardPart moe_part(int64_t dim, const MoEConfig& config, int64_t vocab);

}  // namespace troupe
