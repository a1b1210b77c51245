// A weight as kernels read it: handles of the copies that a device keeps of it beside its main
// value. What they look like belongs to the device's kernels (core/kernels/cpu/packed_weights.h).
#pragma once

#include <cstdint>
#include <memory>

#include "core/tensor/tensor.h"

namespace troupe {

// The right operand B [k, n] of a product, one matrix per expert. Only k, n, experts and dtype mean
// something outside kernels.
struct WeightOperand {
  View memory;
  DType dtype = DType::f32;
  int64_t experts = 1;
  int64_t k = 0;
  int64_t n = 0;
  int64_t expert_elements = 0;  // from one expert's matrix to the next
  bool transposed = false;      // plain: stored as [n, k]
  int block = 0;  // > 0: packed in panels of this many columns (core/kernels/cpu/product.h)

  const std::byte* data() const { return static_cast<const std::byte*>(memory.data); }
  const std::byte* expert(int64_t e) const {
    return data() + e * expert_elements * static_cast<int64_t>(size_of(dtype));
  }
  // Distance of stored rows (plain only).
  int64_t ld() const { return transposed ? k : n; }
  // Where columns [column, ...) of an expert begin; packed: column must be a multiple of block.
  const std::byte* columns(int64_t e, int64_t column) const;
  template <typename F>
  void for_each_view(F&& f) {
    f(memory);
  }
};

// The copies of one weight, renewed once per weight version. Only linear-like ops and the
// optimizer's kernels know them.
class PackedWeights {
 public:
  // A weight [experts, out, in] whose main value has type wide(compute).
  static std::unique_ptr<PackedWeights> make(int64_t experts, int64_t out, int64_t in,
                                             DType compute, const std::shared_ptr<Device>& device);
  virtual ~PackedWeights() = default;

  // Takes the main value (contiguous) of this version. Copies made before are renewed, others are
  // made when first asked for.
  virtual void refresh(const Tensor& value, uint64_t version) = 0;
  // B = W^T [in, out]: x W^T, and B = W [out, in]: dy W.
  virtual WeightOperand forward() = 0;
  virtual WeightOperand input_gradient() = 0;
  // Bytes of the copies that these two make when they are first asked for.
  virtual int64_t copy_bytes() const = 0;
  // Gives the memory of all copies back; they are made again when asked for.
  virtual void drop() = 0;
  // The value in the compute type as it lies, [experts, out, in] flat; the main value itself if it
  // has that type.
  virtual const Tensor& plain() = 0;
  // A kernel wrote the value of this version, and every copy with it.
  virtual void written(uint64_t version) = 0;
  virtual uint64_t version() const = 0;
};

}  // namespace troupe
