// A block of a model: what stands between two values of the residual stream. Its wiring (pre-norm
// today) and its parts are a family's choice.
#pragma once

#include <memory>

#include "models/parts/feed_forward.h"
#include "models/parts/sequence_mixer.h"

namespace troupe {

class Block {
 public:
  virtual ~Block() = default;
  // x_TD: stream rows. record: filled if the block has experts. replay: routes as recorded instead
  // of choosing; may be null.
  virtual Tensor forward(const Tensor& x_TD, const MicroBatchContext& stream, RoutingRecord& record,
                         const SparseAssignment* replay) = 0;
  // n new tokens of one sequence at `positions`, after those of the cache.
  virtual Tensor decode(const Tensor& x_TD, const TokenContext& tokens, const Tensor& positions,
                        MixerCache& cache, RoutingRecord& record) = 0;
  virtual std::unique_ptr<MixerCache> make_cache(int64_t capacity,
                                                 const std::shared_ptr<Device>& device) const = 0;
  virtual MoELayer* moe() = 0;  // null in a dense block
  virtual void parameters(std::vector<Parameter*>& out) = 0;
};

using BlockPart = std::shared_ptr<const Part<Block>>;

}  // namespace troupe
