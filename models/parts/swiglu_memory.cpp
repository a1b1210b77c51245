#include "models/parts/swiglu_memory.h"

#include "core/kernels/cpu/product.h"
#include "core/kernels/grouped_gemm.h"
#include "models/parts/bytes.h"

namespace troupe {

// It keeps its input and the hidden rows, which are filled up to a multiple of kRowPad for each
// expert, by half of it on average; backward adds the activated rows and a gradient. Own products
// read the operands of weight gradients as they lie, those of the library need copies.
PartMemory swiglu_memory(const MemoryContext& context, int64_t experts, int64_t rows, int64_t dim,
                         int64_t ffn_dim) {
  const int64_t c = bytes_of(context.compute);
  const int64_t filled = (rows + experts * kernels::kRowPad / 2) * c;
  const int64_t input = allocated(rows * dim * c);
  const int64_t hidden = allocated(filled * ffn_dim);
  const int64_t both = allocated(filled * 2 * ffn_dim);
  PartMemory memory;
  memory.saved = input + both;
  memory.deferred = input + hidden;
  memory.scratch = allocated(kernels::kRowBlock * (2 * dim + 3 * ffn_dim) * c);
  memory.backward = hidden + input;
  if (!kernels::cpu::own_products(context.compute)) {
    memory.deferred += both;
    memory.backward += 2 * allocated(filled * dim) + both;
  }
  return memory;
}

}  // namespace troupe
