#include "core/ops/swiglu_experts.h"

#include <memory>
#include <numeric>
#include <vector>

#include "core/base/error.h"
#include "core/kernels/swiglu_experts.h"
#include "core/kernels/weight_forms.h"
#include "core/ops/rows_of.h"
#include "core/ops/view.h"

namespace troupe {
namespace {

constexpr const char* kName = "swiglu_experts";

// What forward keeps for backward, and the input half of backward for the weight half.
struct State {
  Saved x;
  Saved gate_weight;
  std::vector<int64_t> counts;
  Parameter& gate_up;
  Parameter& down;
  Tensor hidden;
  Tensor down_left, down_right, gate_up_left, gate_up_right;

  kernels::RowGroups groups() const { return {counts.data(), static_cast<int64_t>(counts.size())}; }
};

View view_or_none(const Tensor& tensor) { return tensor.defined() ? tensor.view() : View{}; }

void check(const Tensor& x, std::span<const int64_t> counts, const Tensor& gate_weight,
           const Parameter& gate_up, const Parameter& down) {
  const Shape& wide_shape = gate_up.value().shape();
  const Shape& down_shape = down.value().shape();
  const auto experts = static_cast<int64_t>(counts.size());
  const int rank = wide_shape.rank();
  const bool banks =
      rank == 3 && down_shape.rank() == 3 && wide_shape[0] == experts && down_shape[0] == experts;
  const bool single = rank == 2 && down_shape.rank() == 2 && experts == 1;
  require(
      (banks || single) && wide_shape[-2] == 2 * down_shape[-1] && wide_shape[-1] == down_shape[-2],
      "swiglu_experts: {} of shape {} and {} of shape {} for {} experts; wanted [E, 2F, D] and "
      "[E, D, F]",
      gate_up.name(), wide_shape.text(), down.name(), down_shape.text(), experts);
  const int64_t rows = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  require(x.rank() == 2 && x.dim(0) == rows && x.dim(1) == wide_shape[-1] &&
              x.dtype() == gate_up.compute() && x.dtype() == down.compute(),
          "swiglu_experts {}: x of shape {} in {} for {} rows of {} in {}", gate_up.name(),
          x.shape().text(), name(x.dtype()), rows, wide_shape[-1], name(gate_up.compute()));
  require(!gate_weight.defined() ||
              (gate_weight.shape() == Shape{rows} && gate_weight.dtype() == wide(x.dtype())),
          "swiglu_experts {}: gate weights for {} rows must be in {}", gate_up.name(), rows,
          name(wide(x.dtype())));
}

void input_gradient(State& state, const Tensor& output_gradient, InputGradients& inputs) {
  const Tensor& x = state.x.get(kName);
  const Tensor& gate_weight = state.gate_weight.get(kName);
  const auto& device = x.device();
  const DType dtype = x.dtype();
  const int64_t filled = state.groups().padded_total();
  const int64_t d = x.dim(1);
  const int64_t f = state.down.value().dim(-1);
  state.down_left = Tensor::empty({filled * d}, dtype, device);
  state.down_right = Tensor::empty({filled * f}, dtype, device);
  state.gate_up_left = Tensor::empty({filled * 2 * f}, dtype, device);
  state.gate_up_right = Tensor::empty({filled * d}, dtype, device);
  Tensor dx;
  Tensor gate_gradient;
  if (inputs.needs(0)) dx = Tensor::empty(x.shape(), dtype, device);
  if (inputs.needs(1)) {
    gate_gradient = Tensor::empty(gate_weight.shape(), gate_weight.dtype(), device);
  }
  const Tensor dy = rows_of(output_gradient);
  kernels::swiglu_experts_gradient(
      x.stream(), x.view(), view_or_none(gate_weight), dy.view(), state.groups(),
      state.gate_up.forms().input_gradient(), state.down.forms().input_gradient(),
      state.hidden.view(), view_or_none(dx), view_or_none(gate_gradient),
      {state.down_left.view().data, state.down_right.view().data, state.gate_up_left.view().data,
       state.gate_up_right.view().data});
  state.hidden = {};
  if (dx.defined()) inputs.add(0, dx);
  if (gate_gradient.defined()) inputs.add(1, gate_gradient);
}

void weight_gradient(Parameter& weight, Tensor& left, Tensor& right, const State& state) {
  bool fresh = false;
  const Tensor& target = weight.begin_accumulate(fresh);
  kernels::grouped_weight_gradient(target.stream(), left.view().data, right.view().data,
                                   left.dtype(), state.groups(), target.view(), !fresh);
  weight.end_accumulate();
  left = {};
  right = {};
}

}  // namespace

Tensor swiglu_experts(const Tensor& x, std::span<const int64_t> rows_per_expert,
                      const Tensor& gate_weight, Parameter& gate_up, Parameter& down) {
  check(x, rows_per_expert, gate_weight, gate_up, down);
  gate_up.use();
  down.use();
  const Tensor rows = rows_of(x);
  auto state = std::make_shared<State>(State{Saved(rows),
                                             Saved(gate_weight),
                                             {rows_per_expert.begin(), rows_per_expert.end()},
                                             gate_up,
                                             down,
                                             {},
                                             {},
                                             {},
                                             {},
                                             {}});
  if (grad_enabled()) {
    state->hidden = Tensor::empty({state->groups().padded_total(), gate_up.value().dim(-2)},
                                  x.dtype(), x.device());
  }
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::swiglu_experts(y.stream(), rows.view(), view_or_none(gate_weight), state->groups(),
                          gate_up.forms().forward(), down.forms().forward(),
                          view_or_none(state->hidden), y.view());
  return record(
      kName, std::move(y), {x, gate_weight},
      [state](const Tensor& gradient, InputGradients& inputs) {
        input_gradient(*state, gradient, inputs);
      },
      [state](const Tensor&) {
        weight_gradient(state->down, state->down_left, state->down_right, *state);
        weight_gradient(state->gate_up, state->gate_up_left, state->gate_up_right, *state);
      });
}

Tensor swiglu_feed_forward(const Tensor& x, Parameter& gate_up, Parameter& down) {
  const int64_t rows = x.dim(-1) == 0 ? 0 : x.elements() / x.dim(-1);
  const Tensor y = swiglu_experts(reshape(x, {rows, x.dim(-1)}), {&rows, 1}, {}, gate_up, down);
  return reshape(y, x.shape());
}

}  // namespace troupe
