#include "core/kernels/cpu/ordered_sum.h"

#include <algorithm>

#include "core/base/error.h"

namespace troupe::kernels::cpu {
namespace {

constexpr int64_t kBlock = 1024;

// A block at a time in a local buffer, so that `out` may be any of the inputs and stays in cache.
template <typename T, typename Wide>
void sum_blocks(const std::vector<const void*>& in, T* out, int64_t elements) {
  Wide sum[kBlock];
  for (int64_t begin = 0; begin < elements; begin += kBlock) {
    const int64_t count = std::min(kBlock, elements - begin);
    const T* first = static_cast<const T*>(in[0]) + begin;
    for (int64_t i = 0; i < count; ++i) sum[i] = static_cast<Wide>(first[i]);
    for (size_t rank = 1; rank < in.size(); ++rank) {
      const T* next = static_cast<const T*>(in[rank]) + begin;
      for (int64_t i = 0; i < count; ++i) sum[i] += static_cast<Wide>(next[i]);
    }
    for (int64_t i = 0; i < count; ++i) out[begin + i] = static_cast<T>(sum[i]);
  }
}

}  // namespace

void ordered_sum(DType dtype, const std::vector<const void*>& in, void* out, int64_t elements) {
  switch (dtype) {
    case DType::f64:
      return sum_blocks<double, double>(in, static_cast<double*>(out), elements);
    case DType::f32:
      return sum_blocks<float, float>(in, static_cast<float*>(out), elements);
    case DType::bf16:
      return sum_blocks<BF16, float>(in, static_cast<BF16*>(out), elements);
    case DType::i64:
      return sum_blocks<int64_t, int64_t>(in, static_cast<int64_t*>(out), elements);
    case DType::i32:
      return sum_blocks<int32_t, int32_t>(in, static_cast<int32_t*>(out), elements);
    case DType::u8:
      break;
  }
  fail(ExitCode::internal, "sums in order of {} are not defined", name(dtype));
}

}  // namespace troupe::kernels::cpu
