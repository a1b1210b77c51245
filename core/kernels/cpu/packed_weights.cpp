#include "core/kernels/cpu/packed_weights.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/pack.h"
#include "core/kernels/cpu/product.h"
#include "core/kernels/cpu/vector.h"

namespace troupe {

std::unique_ptr<PackedWeights> PackedWeights::make(int64_t experts, int64_t out, int64_t in,
                                                   DType compute,
                                                   const std::shared_ptr<Device>& device) {
  return std::make_unique<kernels::cpu::PackedWeights>(experts, out, in, compute, device);
}

const std::byte* WeightOperand::columns(int64_t e, int64_t column) const {
  const auto size = static_cast<int64_t>(size_of(dtype));
  require(block == 0 || column % block == 0, "column {} of a weight packed by {}", column, block);
  return expert(e) + column * (block > 0 || transposed ? k : 1) * size;
}

namespace kernels::cpu {

PackedWeights::PackedWeights(int64_t experts, int64_t out, int64_t in, DType compute,
                             const std::shared_ptr<Device>& device)
    : experts_(experts), out_(out), in_(in), compute_(compute), device_(device) {
  forward_.block = packed_block(*device, compute, in, out);
  input_gradient_.block = packed_block(*device, compute, out, in);
}

int64_t PackedWeights::copy_bytes() const {
  const bool plain =
      wide(compute_) != compute_ && (forward_.block == 0 || input_gradient_.block == 0);
  const int copies = (forward_.block > 0 ? 1 : 0) + (input_gradient_.block > 0 ? 1 : 0) + plain;
  return copies * experts_ * out_ * in_ * static_cast<int64_t>(size_of(compute_));
}

void PackedWeights::refresh(const Tensor& value, uint64_t version) {
  require(value.contiguous() && value.elements() == experts_ * out_ * in_ &&
              value.dtype() == wide(compute_),
          "a weight [{}, {}, {}] got a value of shape {}", experts_, out_, in_,
          value.shape().text());
  value_ = value.detach();
  if (version == version_) return;
  version_ = version;
  fill(plain_.defined(), forward_.memory.defined(), input_gradient_.memory.defined());
}

WeightOperand PackedWeights::operand(Copy& copy, bool forward) {
  require(value_.defined(), "the forms of a weight were used before refresh()");
  WeightOperand out;
  out.dtype = compute_;
  out.experts = experts_;
  out.expert_elements = out_ * in_;
  out.k = forward ? in_ : out_;
  out.n = forward ? out_ : in_;
  out.transposed = forward;
  out.block = copy.block;
  if (copy.block == 0) {
    out.memory = plain().view();
    return out;
  }
  if (!copy.memory.defined()) {
    copy.memory = Tensor::empty({experts_, out_, in_}, compute_, device_, MemoryKind::parameter);
    fill(false, forward, !forward);
  }
  out.memory = copy.memory.view();
  return out;
}

WeightOperand PackedWeights::forward() { return operand(forward_, true); }
WeightOperand PackedWeights::input_gradient() { return operand(input_gradient_, false); }

const Tensor& PackedWeights::plain() {
  if (wide(compute_) == compute_) return value_;
  if (!plain_.defined()) {
    plain_ = Tensor::empty({experts_, out_, in_}, compute_, device_, MemoryKind::parameter);
    fill(true, false, false);
  }
  return plain_;
}

void PackedWeights::drop() {
  plain_ = Tensor();
  forward_.memory = Tensor();
  input_gradient_.memory = Tensor();
}

PackedWeights::Panel PackedWeights::panel(int64_t index) const {
  const int64_t expert = index / panels_per_expert();
  const int64_t row = index % panels_per_expert() * kPanelRows;
  return {expert * out_ + row, std::min(kPanelRows, out_ - row)};
}

void PackedWeights::write_panel(int64_t index) {
  write(index, plain_.defined(), forward_.memory.defined(), input_gradient_.memory.defined());
}

void PackedWeights::write(int64_t index, bool plain, bool forward, bool input_gradient) {
  if (!plain && !forward && !input_gradient) return;
  const auto size = static_cast<int64_t>(size_of(compute_));
  const Panel panel_rows = panel(index);
  const int64_t count = panel_rows.rows;
  const int64_t expert = panel_rows.first_row / out_;
  const int64_t row = panel_rows.first_row % out_;
  const auto at = [&](const Tensor& copy) { return memory_of(copy) + expert * out_ * in_ * size; };
  // The rows in the compute type; bf16 is rounded once for all copies.
  const std::byte* from = memory_of(value_) + panel_rows.first_row * in_ *
                                                  static_cast<int64_t>(size_of(value_.dtype()));
  if (compute_ == DType::bf16) {
    auto* narrow = plain ? at(plain_) + row * in_ * size
                         : static_cast<std::byte*>(thread_scratch(*device_, count * in_ * size));
    vec::to_bf16(reinterpret_cast<const float*>(from), reinterpret_cast<BF16*>(narrow),
                 count * in_);
    from = narrow;
  }
  if (forward) {
    pack_transposed(from, compute_, row, count, in_, forward_.block, at(forward_.memory));
  }
  if (input_gradient) {
    const RowsBlock block{from, compute_, in_, count, count, in_};
    pack_block(block, row, out_, input_gradient_.block, at(input_gradient_.memory));
  }
}

void PackedWeights::fill(bool plain, bool forward, bool input_gradient) {
  parallel_for(device_->stream(), panels(),
               [&](int64_t index) { write(index, plain, forward, input_gradient); });
}

}  // namespace kernels::cpu

}  // namespace troupe
