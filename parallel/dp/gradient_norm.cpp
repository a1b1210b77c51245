// The norm of the whole model's gradient.
#include <algorithm>
#include <cmath>

#include "core/device/cpu/parallel_for.h"
#include "core/device/operator.h"
#include "core/kernels/optimizer.h"
#include "parallel/dp/gradient_sync.h"

namespace troupe {
namespace {

// Elements of one chunk of the norm: fixed, so that threads do not change its bits.
constexpr int64_t kNormChunk = 65536;

struct Chunk {
  DType dtype;
  const std::byte* first;
  int64_t count;
};

}  // namespace

double GradientSync::gradient_norm() {
  std::vector<Chunk> chunks;
  const auto at = coordinates(mesh_.shape(), mesh_.all().rank());
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = *parameters_[i];
    const bool experts = parameter.layout().mesh == MeshKind::experts;
    if (experts && planted(PlantedBug::norm_without_experts)) continue;
    // Where a gradient stands on several ranks without having been summed, they take turns.
    const SharedGradient shared = shared_gradient(parameter.layout(), mesh_.shape(), at);
    const Tensor& gradient = parameter.owned_gradient();
    const auto bytes = static_cast<int64_t>(size_of(gradient.dtype()));
    const auto* first = static_cast<const std::byte*>(gradient.view().data) +
                        (owned_[i].begin - parameter.owned().begin) * bytes;
    for (int64_t begin = shared.index * kNormChunk; begin < owned_[i].count;
         begin += shared.copies * kNormChunk) {
      chunks.push_back(
          {gradient.dtype(), first + begin * bytes, std::min(kNormChunk, owned_[i].count - begin)});
    }
  }
  std::vector<double> sums(chunks.size());
  const auto& device = parameters_.at(0)->value().device();
  const Operator op("gradient norm", device->stream());
  parallel_for(device->stream(), static_cast<int64_t>(chunks.size()), [&](int64_t i) {
    const Chunk& chunk = chunks[static_cast<size_t>(i)];
    sums[static_cast<size_t>(i)] = kernels::sum_of_squares(chunk.dtype, chunk.first, chunk.count);
  });
  double total = 0;
  for (double sum : sums) total += sum;
  mesh_.all()
      .all_reduce_sum({&total, DType::f64, {1}, {1}, DeviceKind::cpu}, "gradient norm")
      .wait();
  return std::sqrt(total);
}

}  // namespace troupe
