// Positions that are learned: a row of a table is added to each token's embedding.
#pragma once

#include <memory>

#include "models/parts/micro_batch_context.h"
#include "models/parts/part.h"

namespace troupe {

class PositionEmbedding {
 public:
  virtual ~PositionEmbedding() = default;
  // x_TD: stream rows.
  virtual Tensor forward(const Tensor& x_TD, const MicroBatchContext& stream) const = 0;
  // New tokens of one sequence at `positions`, i32 [n].
  virtual Tensor decode(const Tensor& x_TD, const Tensor& positions) const = 0;
  virtual void parameters(std::vector<Parameter*>& out) const = 0;
};

using PositionPart = std::shared_ptr<const Part<PositionEmbedding>>;

// NAME.weight [positions, D]. Sequences are not longer than `positions`.
PositionPart learned_positions_part(int64_t positions, int64_t dim);

}  // namespace troupe
