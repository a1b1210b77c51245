#include "models/engine/step_totals.h"

#include "core/tensor/host_memory.h"

namespace troupe {
namespace {

// The one place that knows the order of the values in the message.
template <typename Visit>
void for_each(StepTotals& totals, Visit visit) {
  visit(totals.loss);
  visit(totals.balance_loss);
  visit(totals.z_loss);
  for (double& term : totals.terms) visit(term);
  visit(totals.stop);
  visit(totals.ready);
  for (PipelineTimes& stage : totals.stages) {
    visit(stage.forward);
    visit(stage.input_gradient);
    visit(stage.weight_gradient);
    visit(stage.all);
  }
}

}  // namespace

void sum_over(Communicator& all, StepTotals& totals, const std::shared_ptr<Device>& device) {
  std::vector<double> own;
  for_each(totals, [&](double value) { own.push_back(value); });
  const Tensor sums = Tensor::from(own, {static_cast<int64_t>(own.size())}, DType::f64, device);
  all.all_reduce_sum(sums.view(), "step totals").finish();
  const auto copied = host_copy<double>(sums);
  const double* sum = copied.data();
  for_each(totals, [&](double& value) { value = *sum++; });
}

}  // namespace troupe
