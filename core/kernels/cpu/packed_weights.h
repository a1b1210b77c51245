// The compute-side forms of a weight: copies packed for the two products that read it, refreshed
// once per weight version. Only linear-like ops and the optimizer's pass know them.
#pragma once

#include <cstdint>
#include <memory>

#include "core/device/device.h"
#include "core/tensor/tensor.h"

namespace troupe {

// The right operand B [k, n] of a product, one matrix per expert.
struct WeightOperand {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  int64_t experts = 1;
  int64_t expert_elements = 0;  // from one expert's matrix to the next
  int64_t k = 0;
  int64_t n = 0;
  bool transposed = false;  // plain: stored as [n, k]
  int block = 0;  // > 0: packed in panels of this many columns (core/kernels/cpu/product.h)

  const std::byte* expert(int64_t e) const {
    return data + e * expert_elements * static_cast<int64_t>(size_of(dtype));
  }
  // Distance of stored rows (plain only).
  int64_t ld() const { return transposed ? k : n; }
  // Where columns [column, ...) of an expert begin; packed: column must be a multiple of block.
  const std::byte* columns(int64_t e, int64_t column) const;
};

class PackedWeights {
 public:
  // A weight [experts, out, in] whose main value has type wide(compute).
  PackedWeights(int64_t experts, int64_t out, int64_t in, DType compute,
                const std::shared_ptr<Device>& device);

  // Takes the main value (contiguous) of this version. Copies made before are renewed, others are
  // made when first asked for.
  void refresh(const Tensor& value, uint64_t version);

  // B = W^T [in, out]: x W^T, and B = W [out, in]: dy W.
  WeightOperand forward();
  WeightOperand input_gradient();
  // Bytes of the copies that these two make when they are first asked for.
  int64_t copy_bytes() const {
    const bool plain =
        wide(compute_) != compute_ && (forward_.block == 0 || input_gradient_.block == 0);
    const int copies = (forward_.block > 0 ? 1 : 0) + (input_gradient_.block > 0 ? 1 : 0) + plain;
    return copies * experts_ * out_ * in_ * static_cast<int64_t>(size_of(compute_));
  }
  // Gives the memory of all copies back; they are made again when asked for.
  void drop();
  // The value in the compute type as it lies, [experts, out, in] flat; the main value itself if it
  // has that type.
  const Tensor& plain();

  // --- for the optimizer's pass: renew the copies while a panel of rows is in cache ---
  static constexpr int64_t kPanelRows = 64;
  // Panels of kPanelRows rows (fewer at the end of an expert) of the flat [experts * out, in]
  // value.
  int64_t panels() const { return experts_ * panels_per_expert(); }
  struct Panel {
    int64_t first_row;  // of the flat [experts * out, in] value
    int64_t rows;
  };
  Panel panel(int64_t index) const;
  // Writes one panel of every existing copy from the main value given to the last refresh.
  // Different panels may be written at the same time by different threads.
  void write_panel(int64_t index);
  // All panels were written from the value of this version.
  void written(uint64_t version) { version_ = version; }
  uint64_t version() const { return version_; }

 private:
  struct Copy {
    Tensor memory;  // undefined until asked for
    int block = 0;  // 0 = as it lies
  };
  int64_t panels_per_expert() const { return (out_ + kPanelRows - 1) / kPanelRows; }
  void fill(bool plain, bool forward, bool input_gradient);
  void write(int64_t index, bool plain, bool forward, bool input_gradient);
  WeightOperand operand(Copy& copy, bool forward);

  int64_t experts_;
  int64_t out_;
  int64_t in_;
  DType compute_;
  std::shared_ptr<Device> device_;
  Tensor value_;
  uint64_t version_ = 0;
  Tensor plain_;
  Copy forward_;
  Copy input_gradient_;
};

}  // namespace troupe
