#include "moe/routers/parts/select.h"

#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/top_k.h"
#include "core/tensor/host_memory.h"

namespace troupe {

std::vector<int32_t> top_k(const Tensor& scores_TE, const Tensor& bias_E, int64_t k) {
  require(scores_TE.contiguous() && k <= scores_TE.dim(1), "the best {} of scores {}, strides {}",
          k, scores_TE.shape().text(), scores_TE.strides().text());
  const Operator op("top_k", scores_TE.stream());
  const Tensor best = Tensor::empty({scores_TE.dim(0), k}, DType::i32, scores_TE.device());
  kernels::top_k(best.stream(), scores_TE.view(), bias_E.defined() ? bias_E.view() : View{},
                 best.view());
  const auto copied = host_copy<int32_t>(best);
  return {copied.begin(), copied.end()};
}

}  // namespace troupe
