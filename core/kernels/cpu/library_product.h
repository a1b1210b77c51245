// Products by a library, where it has code that is faster than own and whose bits depend on sizes
// alone: oneDNN's brgemm for bf16 (onednn/). A build without it (without_onednn/) has none, and own
// code makes every product.
#pragma once

#include <cstdint>
#include <memory>

#include "core/kernels/cpu/instruction_set.h"
#include "core/kernels/cpu/product.h"

namespace troupe::kernels::cpu {

// One product, made for the threads of a team.
class LibraryProduct {
 public:
  virtual ~LibraryProduct() = default;
  // Memory that a thread lends it while it runs.
  virtual int64_t workspace_bytes() const = 0;
  // On the calling thread, whose number in the team is `thread`.
  virtual void run(size_t thread, const void* a, const void* b, void* c, void* workspace) const = 0;
};

class LibraryProducts {
 public:
  virtual ~LibraryProducts() = default;
  // Null where the library has no such code for these sizes.
  virtual std::unique_ptr<LibraryProduct> make(const ProductShape& shape) = 0;
  // Is B [k, n] fastest in panels of kPanelColumns columns?
  virtual bool wants_panels(DType dtype, int64_t k, int64_t n) = 0;
};

bool has_library_products();
// For teams of so many threads; null where there are none.
std::unique_ptr<LibraryProducts> library_products(int threads);

// The processor's instructions as far as the products of this build can use them, and what the
// library's own variable allows of them.
InstructionSet instructions_of_processor();
InstructionSet limit_of_library();
// Tells the library what it may use, which it takes only before its first use.
void limit_library(InstructionSet widest);

}  // namespace troupe::kernels::cpu
