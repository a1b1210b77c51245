#include "core/ops/swiglu_experts_part.h"

#include "core/base/error.h"
#include "core/kernels/swiglu_experts.h"

namespace troupe {
namespace {

constexpr const char* kName = "swiglu_experts";

View view_or_none(const Tensor& tensor) { return tensor.defined() ? tensor.view() : View{}; }

kernels::RowGroups groups_of(const std::vector<int64_t>& counts) {
  return {counts.data(), static_cast<int64_t>(counts.size())};
}

}  // namespace

SwigluExpertsPart::SwigluExpertsPart(Parameter& w_gate_up, Parameter& w_down, int64_t first,
                                     int64_t experts, std::vector<int64_t> rows_per_expert)
    : gate_up_(w_gate_up),
      down_(w_down),
      first_(first),
      experts_(experts),
      counts_(std::move(rows_per_expert)) {
  for (int64_t e = 0; e < static_cast<int64_t>(counts_.size()); ++e) {
    const bool inside = e >= first_ && e < first_ + experts_;
    require(inside || counts_[static_cast<size_t>(e)] == 0, "{} rows of expert {} in a part of {}",
            counts_[static_cast<size_t>(e)], e, experts_);
  }
}

Tensor SwigluExpertsPart::forward(const Tensor& x, const Tensor& gate_weight, bool keep) {
  const kernels::RowGroups groups = groups_of(counts_);
  if (keep) {
    x_ = Saved(x);
    gate_weight_ = Saved(gate_weight);
    hidden_ =
        Tensor::empty({groups.padded_total(), gate_up_.value().dim(-2)}, x.dtype(), x.device());
  }
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::swiglu_experts(y.stream(), x.view(), view_or_none(gate_weight), groups,
                          gate_up_.forms().forward(), down_.forms().forward(),
                          view_or_none(hidden_), y.view());
  return y;
}

SwigluExpertsPart::Gradients SwigluExpertsPart::gradient(const Tensor& dy, bool want_x,
                                                         bool want_gate_weight) {
  const Tensor& x = x_.get(kName);
  const Tensor& gate_weight = gate_weight_.get(kName);
  const auto& device = x.device();
  const kernels::RowGroups groups = groups_of(counts_);
  const bool by_rows = kernels::weight_gradient_reads_rows(x.dtype());
  make_operands(dy);
  Gradients out;
  if (want_x) out.x_RD = Tensor::empty(x.shape(), x.dtype(), device);
  if (want_gate_weight)
    out.gate_weight = Tensor::empty(gate_weight.shape(), gate_weight.dtype(), device);
  kernels::SwigluGradientOperands operands;
  if (by_rows) {
    operands.activated = down_operands_.right.view();
  } else {
    operands.down_left = down_operands_.left.view();
    operands.down_right = down_operands_.right.view();
    operands.gate_up_left = gate_up_operands_.left.view();
    operands.gate_up_right = gate_up_operands_.right.view();
  }
  kernels::swiglu_experts_gradient(x.stream(), x.view(), view_or_none(gate_weight), dy.view(),
                                   groups, gate_up_.forms().input_gradient(),
                                   down_.forms().input_gradient(), hidden_.view(),
                                   view_or_none(out.x_RD), view_or_none(out.gate_weight), operands);
  hidden_ = {};
  return out;
}

void SwigluExpertsPart::make_operands(const Tensor& dy) {
  const Tensor& x = x_.get(kName);
  const int64_t filled = groups_of(counts_).padded_total();
  const int64_t d = x.dim(1);
  const int64_t f = down_.value().dim(-1);
  const auto make = [&](Shape shape) { return Tensor::empty(shape, x.dtype(), x.device()); };
  if (kernels::weight_gradient_reads_rows(x.dtype())) {
    down_operands_ = {dy, make({filled, f}), false, true};
    gate_up_operands_ = {hidden_, x, true, false};
  } else {
    down_operands_ = {make({filled * d}), make({filled * f})};
    gate_up_operands_ = {make({filled * 2 * f}), make({filled * d})};
  }
}

void SwigluExpertsPart::add(const Tensor& target, bool fresh, Operands& operands) const {
  const std::vector<int64_t> counts(counts_.begin() + first_, counts_.begin() + first_ + experts_);
  const bool whole = experts_ == static_cast<int64_t>(counts_.size());
  const Tensor part = whole ? target
                            : target.strided({experts_, target.dim(1), target.dim(2)},
                                             target.strides(), first_ * target.strides()[0]);
  const auto& [left, right, left_filled, right_filled] = operands;
  if (kernels::weight_gradient_reads_rows(left.dtype())) {
    kernels::grouped_weight_gradient(target.stream(), {left.view(), left_filled},
                                     {right.view(), right_filled}, groups_of(counts), part.view(),
                                     !fresh);
  } else {
    kernels::packed_weight_gradient(target.stream(), left.view(), right.view(), groups_of(counts),
                                    part.view(), !fresh);
  }
  operands = {};
}

void SwigluExpertsPart::add_down_gradient(const Tensor& target, bool fresh) {
  add(target, fresh, down_operands_);
}

void SwigluExpertsPart::add_gate_up_gradient(const Tensor& target, bool fresh) {
  add(target, fresh, gate_up_operands_);
}

}  // namespace troupe
