#include "core/kernels/swiglu_experts.h"

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/pack.h"
#include "core/kernels/cpu/product.h"
#include "core/kernels/cpu/row_pieces.h"
#include "core/kernels/cpu/swiglu_row.h"
#include "core/kernels/cpu/thread_scratch.h"
#include "core/kernels/cpu/weight_product.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

// Rows of a block as a product wants them: without gaps and as many as it runs with.
std::byte* rows_for(const View& v, const RowPiece& p, int64_t m, ThreadScratch& scratch) {
  const auto size = static_cast<int64_t>(size_of(v.dtype));
  const int64_t columns = v.shape[1];
  std::byte* from = static_cast<std::byte*>(v.data) + p.row * v.strides[0] * size;
  if (m == p.rows && v.strides[0] == columns) return from;
  std::byte* to = scratch.take_bytes(m * columns * size);
  copy_rows(from, v.strides[0], p.rows, m, columns, size, to, columns);
  return to;
}

// Runs a product whose result is a block of rows of out.
void product_into(Device& device, const WeightOperand& weight, const RowPiece& p, int64_t m,
                  const std::byte* rows, const View& out, ThreadScratch& scratch) {
  const auto size = static_cast<int64_t>(size_of(out.dtype));
  const int64_t columns = out.shape[1];
  std::byte* to = static_cast<std::byte*>(out.data) + p.row * out.strides[0] * size;
  const bool direct = m == p.rows && out.strides[0] == columns;
  std::byte* result = direct ? to : scratch.take_bytes(m * columns * size);
  run(weight_product(device, weight, m, columns, out.dtype), rows, weight.expert(p.expert), result);
  if (!direct) copy_rows(result, columns, p.rows, p.rows, columns, size, to, out.strides[0]);
}

double weight_of(const View& gate_weight, int64_t row) {
  if (gate_weight.data == nullptr) return 1.0;
  const int64_t at = row * gate_weight.strides[0];
  return gate_weight.dtype == DType::f64
             ? static_cast<const double*>(gate_weight.data)[at]
             : static_cast<double>(static_cast<const float*>(gate_weight.data)[at]);
}

void check(const View& x, RowGroups groups, const WeightOperand& gate_up, const WeightOperand& down,
           int64_t d, int64_t f) {
  require(x.shape.rank() == 2 && x.shape[0] == groups.total() && x.shape[1] == d &&
              gate_up.experts == groups.experts && down.experts == groups.experts && f % 2 == 0 &&
              x.dtype == gate_up.dtype && x.dtype == down.dtype,
          "swiglu experts: {} rows of {} in {} for {} experts of [{}, {}] in {}", x.shape[0],
          x.shape[1], name(x.dtype), gate_up.experts, f, d, name(gate_up.dtype));
}

}  // namespace

void swiglu_experts(Stream& stream, View x, View gate_weight, RowGroups groups,
                    const WeightOperand& gate_up, const WeightOperand& down, View hidden, View y) {
  const int64_t d = gate_up.k;
  const int64_t f = down.k;
  check(x, groups, gate_up, down, d, 2 * f);
  const auto size = static_cast<int64_t>(size_of(x.dtype));
  Device& device = *stream.device;
  const std::vector<RowPiece> pieces = row_pieces(groups, 1);
  const int64_t scratch_bytes = kRowBlock * (2 * d + 3 * f) * size + 8 * 64;
  prepare_rows(device, gate_up, 2 * f, x.dtype);
  prepare_rows(device, down, d, x.dtype);
  parallel_for(stream, static_cast<int64_t>(pieces.size()), [&](int64_t index) {
    const RowPiece& p = pieces[static_cast<size_t>(index)];
    const int64_t m = product_rows(p.rows);
    ThreadScratch scratch(device, scratch_bytes);
    std::byte* h = hidden.data != nullptr
                       ? static_cast<std::byte*>(hidden.data) + p.padded_row * 2 * f * size
                       : scratch.take_bytes(m * 2 * f * size);
    run(weight_product(device, gate_up, m, 2 * f, x.dtype), rows_for(x, p, m, scratch),
        gate_up.expert(p.expert), h);
    std::byte* activated = scratch.take_bytes(m * f * size);
    for (int64_t r = 0; r < m; ++r) {
      const double weight = r < p.rows ? weight_of(gate_weight, p.row + r) : 1.0;
      swiglu_row(x.dtype, h + r * 2 * f * size, weight, f, activated + r * f * size);
    }
    product_into(device, down, p, m, activated, y, scratch);
  });
}

void swiglu_experts_gradient(Stream& stream, View x, View gate_weight, View dy, RowGroups groups,
                             const WeightOperand& gate_up, const WeightOperand& down, View hidden,
                             View dx, View gate_gradient, const SwigluGradientOperands& operands) {
  const int64_t d = down.k;
  const int64_t f = down.n;
  check(x, groups, gate_up, down, d, 2 * f);
  const auto size = static_cast<int64_t>(size_of(x.dtype));
  Device& device = *stream.device;
  const int d_panel = right_block(device, x.dtype, d);
  const int f_panel = right_block(device, x.dtype, f);
  const std::vector<RowPiece> pieces = row_pieces(groups, 1);
  const int64_t scratch_bytes = kRowBlock * (2 * d + 2 * f) * size + 8 * 64;
  prepare_rows(device, down, f, x.dtype);
  if (dx.data != nullptr) prepare_rows(device, gate_up, d, x.dtype);
  parallel_for(stream, static_cast<int64_t>(pieces.size()), [&](int64_t index) {
    const RowPiece& p = pieces[static_cast<size_t>(index)];
    const int64_t m = product_rows(p.rows);
    ThreadScratch scratch(device, scratch_bytes);
    std::byte* h = static_cast<std::byte*>(hidden.data) + p.padded_row * 2 * f * size;
    std::byte* activated =
        operands.activated.data != nullptr
            ? static_cast<std::byte*>(operands.activated.data) + p.padded_row * f * size
            : scratch.take_bytes(m * f * size);
    std::byte* gradient = scratch.take_bytes(m * f * size);
    run(weight_product(device, down, m, f, x.dtype), rows_for(dy, p, m, scratch),
        down.expert(p.expert), gradient);
    for (int64_t r = 0; r < m; ++r) {
      const bool real = r < p.rows;
      const double weight = real ? weight_of(gate_weight, p.row + r) : 1.0;
      const double slope =
          swiglu_row_gradient(x.dtype, h + r * 2 * f * size, weight, gradient + r * f * size, f,
                              activated + r * f * size);
      if (!real || gate_gradient.data == nullptr) continue;
      if (gate_gradient.dtype == DType::f64) {
        static_cast<double*>(gate_gradient.data)[p.row + r] = slope;
      } else {
        static_cast<float*>(gate_gradient.data)[p.row + r] = static_cast<float>(slope);
      }
    }
    if (dx.data != nullptr) product_into(device, gate_up, p, m, h, dx, scratch);
    if (operands.activated.data != nullptr) return;
    // The operands of the weight gradients, while the block is in cache.
    const int64_t filled = padded_rows(p.rows);
    const int64_t expert_filled = padded_rows(p.expert_rows);
    const int64_t first = p.padded_row - p.row_in_expert;
    const auto place = [&](const View& base, int64_t columns, int64_t offset) {
      return static_cast<std::byte*>(base.data) + (first * columns + offset) * size;
    };
    const auto block = [&](const View& v) {
      return RowsBlock{static_cast<std::byte*>(v.data) + p.row * v.strides[0] * size,
                       x.dtype,
                       v.strides[0],
                       p.rows,
                       filled,
                       d};
    };
    transpose_block(block(dy), place(operands.down_left, d, p.row_in_expert), expert_filled);
    transpose_block({h, x.dtype, 2 * f, p.rows, filled, 2 * f},
                    place(operands.gate_up_left, 2 * f, p.row_in_expert), expert_filled);
    pack_block({activated, x.dtype, f, p.rows, filled, f}, p.row_in_expert, expert_filled, f_panel,
               place(operands.down_right, f, 0));
    pack_block(block(x), p.row_in_expert, expert_filled, d_panel,
               place(operands.gate_up_right, d, 0));
  });
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void swiglu_experts(Stream& stream, View x, View gate_weight, RowGroups groups,
                    const WeightOperand& gate_up_forward, const WeightOperand& down_forward,
                    View hidden, View y) {
  on_device<cpu::swiglu_experts>(stream, x, gate_weight, groups, gate_up_forward, down_forward,
                                 hidden, y);
}

void swiglu_experts_gradient(Stream& stream, View x, View gate_weight, View dy, RowGroups groups,
                             const WeightOperand& gate_up_input_gradient,
                             const WeightOperand& down_input_gradient, View hidden, View dx,
                             View gate_gradient, const SwigluGradientOperands& operands) {
  on_device<cpu::swiglu_experts_gradient>(stream, x, gate_weight, dy, groups,
                                          gate_up_input_gradient, down_input_gradient, hidden, dx,
                                          gate_gradient, operands);
}

}  // namespace troupe::kernels
