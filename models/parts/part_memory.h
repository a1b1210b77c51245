// What the parts of a model keep in memory while it trains, as arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor/dtype.h"
#include "parallel/mesh/parallelism.h"

namespace troupe {

// What a part keeps of one micro-batch for backward, and what it needs besides at the worst moment
// of its backward; allocated bytes on one rank, with routing taken as even.
struct PartMemory {
  int64_t saved = 0;
  int64_t deferred = 0;  // more than that, between the gradients of inputs and those of weights
  int64_t backward = 0;
  int64_t exchanged = 0;  // of kind communication, at the worst moment
  int64_t scratch = 0;    // of one thread, which keeps it
  int64_t tables = 0;     // constants that all blocks share

  // Parts that stand in one block: they keep all at once, and work one after the other.
  void add(const PartMemory& other);
};

struct MemoryContext {
  Parallelism parallel;
  int64_t sequences = 0;  // of a micro-batch
  int64_t seq_len = 0;
  DType compute = DType::f32;

  int64_t tp() const { return parallel.shape[Axis::tp]; }
  int64_t tokens() const { return sequences * seq_len; }
  int64_t rows() const { return tokens() / parallel.shape[Axis::cp]; }  // what attention sees here
  int64_t stream_rows() const { return parallel.sp ? rows() / tp() : rows(); }
  // A tensor [stream rows, width] in the compute type; [attention rows, width]; in the wide type.
  int64_t stream(int64_t width) const;
  int64_t rows(int64_t width) const;
  int64_t wide_rows(int64_t width) const;
};

}  // namespace troupe
