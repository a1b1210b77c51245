// The part of a block that mixes the tokens of a sequence: attention, or what stands in its place.
#pragma once

#include <memory>

#include "models/parts/micro_batch_context.h"
#include "models/parts/part.h"

namespace troupe {

// What one layer remembers of the tokens seen so far, for generation of one sequence.
struct MixerCache {
  virtual ~MixerCache() = default;
};

class SequenceMixer {
 public:
  virtual ~SequenceMixer() = default;
  // x_TD: stream rows, already normalised -> stream rows.
  virtual Tensor forward(const Tensor& x_TD, const MicroBatchContext& stream) const = 0;
  // n new tokens of one sequence at `positions` (i32 [n]), after those of the cache, which gets
  // them; x_TD: [n, D].
  virtual Tensor decode(const Tensor& x_TD, const Tensor& positions, MixerCache& cache) const = 0;
  // Room for `capacity` tokens.
  virtual std::unique_ptr<MixerCache> make_cache(int64_t capacity,
                                                 const std::shared_ptr<Device>& device) const = 0;
  virtual void parameters(std::vector<Parameter*>& out) const = 0;
};

using MixerPart = std::shared_ptr<const NamedPart<SequenceMixer>>;

}  // namespace troupe
