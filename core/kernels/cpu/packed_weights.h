// The CPU's copies of a weight: packed for the two products that read it.
#pragma once

#include "core/kernels/packed_weights.h"

namespace troupe::kernels::cpu {

class PackedWeights final : public troupe::PackedWeights {
 public:
  PackedWeights(int64_t experts, int64_t out, int64_t in, DType compute,
                const std::shared_ptr<Device>& device);
  void refresh(const Tensor& value, uint64_t version) override;
  WeightOperand forward() override;
  WeightOperand input_gradient() override;
  int64_t copy_bytes() const override;
  void drop() override;
  const Tensor& plain() override;
  void written(uint64_t version) override { version_ = version; }
  uint64_t version() const override { return version_; }

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
  int64_t row_elements() const { return in_; }
  // Writes one panel of every existing copy from the main value given to the last refresh.
  // Different panels may be written at the same time by different threads.
  void write_panel(int64_t index);

 private:
  struct Copy {
    Tensor memory;  // undefined until asked for
    int block = 0;  // 0 = as it lies
  };
  int64_t panels_per_expert() const { return (out_ + kPanelRows - 1) / kPanelRows; }
  void fill(bool plain, bool forward, bool input_gradient);
  void write(int64_t index, bool plain, bool forward, bool input_gradient);
  WeightOperand operand(Copy& copy, bool forward);
  std::byte* memory_of(const Tensor& tensor) const {
    return static_cast<std::byte*>(device_->for_kernels(tensor.view().data));
  }

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

}  // namespace troupe::kernels::cpu
