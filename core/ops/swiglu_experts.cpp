#include "core/ops/swiglu_experts.h"

#include <memory>
#include <numeric>
#include <vector>

#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/ops/rows_of.h"
#include "core/ops/swiglu_experts_part.h"
#include "core/ops/view.h"

namespace troupe {
namespace {

constexpr const char* kName = "swiglu_experts";

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

template <typename Add>
void add_weight(Parameter& weight, Add&& add) {
  bool fresh = false;
  const Tensor& target = weight.begin_accumulate(fresh);
  add(target, fresh);
  weight.end_accumulate();
}

}  // namespace

Tensor swiglu_experts(const Tensor& x, std::span<const int64_t> rows_per_expert,
                      const Tensor& gate_weight, Parameter& gate_up, Parameter& down) {
  const Operator op(kName, x.stream());
  check(x, rows_per_expert, gate_weight, gate_up, down);
  gate_up.use();
  down.use();
  const Tensor rows = rows_of(x);
  const auto experts = static_cast<int64_t>(rows_per_expert.size());
  auto part = std::make_shared<SwigluExpertsPart>(
      gate_up, down, 0, experts,
      std::vector<int64_t>(rows_per_expert.begin(), rows_per_expert.end()));
  Tensor y = part->forward(rows, gate_weight, grad_enabled());
  return record(
      op, std::move(y), {x, gate_weight},
      [part](const Tensor& gradient, InputGradients& inputs) {
        const auto [dx, dw] = part->gradient(rows_of(gradient), inputs.needs(0), inputs.needs(1));
        if (dx.defined()) inputs.add(0, dx);
        if (dw.defined()) inputs.add(1, dw);
      },
      [part, &gate_up, &down](const Tensor&) {
        add_weight(down, [&](const Tensor& target, bool fresh) {
          part->add_down_gradient(target, fresh);
        });
        add_weight(gate_up, [&](const Tensor& target, bool fresh) {
          part->add_gate_up_gradient(target, fresh);
        });
      });
}

Tensor swiglu_feed_forward(const Tensor& x, Parameter& gate_up, Parameter& down) {
  const int64_t rows = x.dim(-1) == 0 ? 0 : x.elements() / x.dim(-1);
  const Tensor y = swiglu_experts(reshape(x, {rows, x.dim(-1)}), {&rows, 1}, {}, gate_up, down);
  return reshape(y, x.shape());
}

}  // namespace troupe
