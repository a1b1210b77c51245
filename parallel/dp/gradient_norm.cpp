// The norm of the whole model's gradient.
#include <algorithm>
#include <cmath>

#include "core/device/operator.h"
#include "core/kernels/optimizer.h"
#include "core/tensor/host_memory.h"
#include "parallel/dp/gradient_sync.h"

namespace troupe {
namespace {

// Elements of one chunk of the norm: fixed, so that threads do not change its bits.
constexpr int64_t kNormChunk = 65536;

}  // namespace

double GradientSync::gradient_norm() {
  std::vector<kernels::Part> chunks;
  const auto at = coordinates(mesh_.shape(), mesh_.all().rank());
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = *parameters_[i];
    const bool experts = parameter.layout().mesh == MeshKind::experts;
    if (experts && planted(PlantedBug::norm_without_experts)) continue;
    // Where a gradient stands on several ranks without having been summed, they take turns.
    const SharedGradient shared = shared_gradient(parameter.layout(), mesh_.shape(), at);
    const Tensor& gradient = parameter.owned_gradient();
    const int64_t first = owned_[i].begin - parameter.owned().begin;
    for (int64_t begin = shared.index * kNormChunk; begin < owned_[i].count;
         begin += shared.copies * kNormChunk) {
      const int64_t count = std::min(kNormChunk, owned_[i].count - begin);
      chunks.push_back({gradient.strided({count}, {1}, first + begin).view()});
    }
  }
  const auto& device = parameters_.at(0)->value().device();
  const Operator op("gradient norm", device->stream());
  const Tensor sums = Tensor::empty({static_cast<int64_t>(chunks.size())}, DType::f64, device);
  kernels::sum_of_squares(device->stream(), chunks, sums.view());
  double total = 0;
  for (double sum : host_copy<double>(sums)) total += sum;
  mesh_.all()
      .all_reduce_sum({&total, DType::f64, {1}, {1}, DeviceKind::cpu}, "gradient norm")
      .finish();
  return std::sqrt(total);
}

}  // namespace troupe
