#include "parallel/tp/vocabulary.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace troupe {
namespace {

// gathered: [ranks, 2, tokens]: log-sum-exps and target logits of each part.
template <typename T>
void join(const T* gathered, int64_t ranks, int64_t tokens, T* logsumexp, T* wanted) {
  for (int64_t t = 0; t < tokens; ++t) {
    T largest = -std::numeric_limits<T>::infinity();
    for (int64_t r = 0; r < ranks; ++r) largest = std::max(largest, gathered[2 * r * tokens + t]);
    T sum = 0;
    T target = 0;
    for (int64_t r = 0; r < ranks; ++r) {
      sum += std::exp(gathered[2 * r * tokens + t] - largest);
      target += gathered[(2 * r + 1) * tokens + t];
    }
    logsumexp[t] = largest + std::log(sum);
    wanted[t] = target;
  }
}

}  // namespace

std::function<void(const Tensor& logsumexp, const Tensor& wanted)> join_vocabulary(
    const TensorRegion& region) {
  if (region.size() == 1) return {};
  return [&group = region.group()](const Tensor& logsumexp, const Tensor& wanted) {
    const int64_t tokens = logsumexp.elements();
    const auto& device = logsumexp.device();
    const Tensor mine = Tensor::empty({2 * tokens}, logsumexp.dtype(), device);
    auto* to = static_cast<std::byte*>(mine.view().data);
    std::memcpy(to, logsumexp.view().data, logsumexp.bytes());
    std::memcpy(to + logsumexp.bytes(), wanted.view().data, wanted.bytes());
    const Tensor all = Tensor::empty({2 * tokens * group.size()}, logsumexp.dtype(), device,
                                     MemoryKind::communication);
    group.all_gather(mine.view(), all.view(), "vocabulary parts").wait(logsumexp.stream());
    if (logsumexp.dtype() == DType::f64) {
      join(all.data<double>(), group.size(), tokens, logsumexp.data<double>(),
           wanted.data<double>());
    } else {
      join(all.data<float>(), group.size(), tokens, logsumexp.data<float>(), wanted.data<float>());
    }
  };
}

}  // namespace troupe
