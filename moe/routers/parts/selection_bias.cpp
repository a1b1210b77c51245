#include "moe/routers/parts/selection_bias.h"

#include <numeric>

#include "core/base/error.h"
#include "core/kernels/elementwise.h"

namespace troupe {
namespace {

constexpr const char* kOption = "bias_update";

}  // namespace

SelectionBias::SelectionBias(double rate, int64_t experts, std::string name, DType dtype,
                             const std::shared_ptr<Device>& device)
    : rate_(rate),
      name_(std::move(name)),
      bias_(Tensor::zeros(Shape{experts}, dtype, device, MemoryKind::parameter)) {}

void SelectionBias::move(std::span<const int64_t> counts) {
  if (!active()) return;
  const int64_t experts = bias_.dim(0);
  require(static_cast<int64_t>(counts.size()) == experts, "{} counts for {} experts", counts.size(),
          experts);
  const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  std::vector<double> steps;
  for (const int64_t count : counts) {
    // sign(mean - count) in integers: exact, so that a tie is a tie.
    const int64_t below_mean = total - count * experts;
    steps.push_back(below_mean > 0 ? rate_ : below_mean < 0 ? -rate_ : 0.0);
  }
  const Tensor by = Tensor::from(steps, bias_.shape(), bias_.dtype(), bias_.device());
  kernels::add(bias_.stream(), bias_.view(), by.view(), bias_.view());
}

void SelectionBias::state(State& state) const {
  if (active()) state.tensors.push_back(replicated_state("router/" + name_ + ".bias", bias_));
}

Field bias_update_field() {
  Field field = make_field(kOption, FieldType::real, 0.0,
                           "step of the selection bias of loss-free balancing, moved once per step "
                           "by the sign of (mean load - load); 0 = off");
  field.minimum = 0.0;
  return field;
}

LoadBias selection_bias_of(const Options& options, double mean_score) {
  return {kOption, options.real(kOption), mean_score};
}

}  // namespace troupe
