#include "moe/layer/previous_batch.h"

#include <numeric>
#include <vector>

#include "core/tensor/host_memory.h"

namespace troupe {
namespace {

// A tensor's values divided by their sum; empty (uniform) when they are all zero.
std::vector<double> shares(const Tensor& tensor) {
  std::vector<double> values = tensor.values();
  const double total = std::accumulate(values.begin(), values.end(), 0.0);
  if (total <= 0.0) return {};
  for (double& value : values) value /= total;
  return values;
}

template <typename T>
void store(std::span<const T> values, const Tensor& into) {
  const auto to = host_output<double>(into);
  for (size_t i = 0; i < values.size(); ++i)
    to[static_cast<int64_t>(i)] = static_cast<double>(values[i]);
}

}  // namespace

PreviousBatch::PreviousBatch(int64_t experts, const std::shared_ptr<Device>& device) {
  for (Tensor* sums : {&pairs_, &probability_, &load_})
    *sums = Tensor::zeros(Shape{experts}, DType::f64, device, MemoryKind::parameter);
}

BatchLoad PreviousBatch::load() const {
  return {shares(pairs_), shares(probability_), shares(load_)};
}

void PreviousBatch::set(std::span<const int64_t> pairs, const RouterStats& whole_batch) {
  store(pairs, pairs_);
  store(std::span<const double>(whole_batch.probability_sum), probability_);
  store(std::span<const double>(whole_batch.load_sum), load_);
}

void PreviousBatch::state(const std::string& layer, State& state) const {
  const std::string prefix = "router/" + layer + ".batch_load.";
  state.tensors.push_back(replicated_state(prefix + "pairs", pairs_));
  state.tensors.push_back(replicated_state(prefix + "probability", probability_));
  state.tensors.push_back(replicated_state(prefix + "load", load_));
}

}  // namespace troupe
