#include "parallel/tp/vocabulary.h"

#include "core/kernels/elementwise.h"
#include "core/kernels/linear_cross_entropy.h"

namespace troupe {
std::function<void(const Tensor& logsumexp, const Tensor& wanted)> join_vocabulary(
    const TensorRegion& region) {
  if (region.size() == 1) return {};
  return [&group = region.group()](const Tensor& logsumexp, const Tensor& wanted) {
    const int64_t tokens = logsumexp.elements();
    const auto& device = logsumexp.device();
    const Tensor mine = Tensor::empty({2 * tokens}, logsumexp.dtype(), device);
    kernels::copy(mine.stream(), logsumexp.view(), mine.strided({tokens}, {1}, 0).view());
    kernels::copy(mine.stream(), wanted.view(), mine.strided({tokens}, {1}, tokens).view());
    const Tensor all = Tensor::empty({group.size(), 2 * tokens}, logsumexp.dtype(), device,
                                     MemoryKind::communication);
    group.all_gather(mine.view(), all.view(), "vocabulary parts").wait(logsumexp.stream());
    kernels::join_vocabulary(all.stream(), all.view(), logsumexp.view(), wanted.view());
  };
}

}  // namespace troupe
