// Element types of tensors.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace troupe {

enum class DType : uint8_t { f64, f32, bf16, i64, i32, u8 };

// A bfloat16 number: the upper 16 bits of an f32, rounded to nearest even on the way in.
struct BF16 {
  uint16_t bits = 0;
  BF16() = default;
  explicit BF16(float value) {
    const uint32_t word = std::bit_cast<uint32_t>(value);
    const bool is_nan = (word & 0x7fffffffU) > 0x7f800000U;
    bits = is_nan ? static_cast<uint16_t>(word >> 16 | 0x40)
                  : static_cast<uint16_t>((word + 0x7fffU + (word >> 16 & 1)) >> 16);
  }
  explicit operator float() const { return std::bit_cast<float>(uint32_t{bits} << 16); }
};

size_t size_of(DType dtype);
const char* name(DType dtype);
bool is_floating(DType dtype);
// The type that statistics, losses and main gradients of this type use: the wider of f32 and it.
DType wide(DType dtype);

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<BF16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};

}  // namespace troupe
