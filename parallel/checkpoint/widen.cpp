#include "parallel/checkpoint/widen.h"

#include <cstring>

#include "core/base/error.h"

namespace troupe::checkpoint {
namespace {

template <typename From, typename To>
void widen_all(const std::byte* from, int64_t count, std::byte* to) {
  for (int64_t i = 0; i < count; ++i) {
    From narrow;
    std::memcpy(&narrow, from + i * static_cast<int64_t>(sizeof(From)), sizeof(From));
    const To wide = static_cast<To>(static_cast<float>(narrow));
    std::memcpy(to + i * static_cast<int64_t>(sizeof(To)), &wide, sizeof(To));
  }
}

}  // namespace

bool can_widen(DType from, DType to) {
  if (from == DType::bf16) return to == DType::f32 || to == DType::f64;
  return from == DType::f32 && to == DType::f64;
}

void widen(DType from_type, const std::byte* from, int64_t count, DType to_type, std::byte* to) {
  require(can_widen(from_type, to_type), "{} is not wider than {}", name(to_type), name(from_type));
  if (from_type == DType::f32) return widen_all<float, double>(from, count, to);
  if (to_type == DType::f32) return widen_all<BF16, float>(from, count, to);
  widen_all<BF16, double>(from, count, to);
}

}  // namespace troupe::checkpoint
