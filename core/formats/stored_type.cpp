#include "core/formats/stored_type.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/base/error.h"

namespace troupe {
namespace {

struct Row {
  StoredType type;
  const char* name;
  int64_t bytes;
};
constexpr std::array<Row, 15> kRows{{{StoredType::f64, "F64", 8},
                                     {StoredType::f32, "F32", 4},
                                     {StoredType::f16, "F16", 2},
                                     {StoredType::bf16, "BF16", 2},
                                     {StoredType::f8_e4m3, "F8_E4M3", 1},
                                     {StoredType::f8_e5m2, "F8_E5M2", 1},
                                     {StoredType::i64, "I64", 8},
                                     {StoredType::i32, "I32", 4},
                                     {StoredType::i16, "I16", 2},
                                     {StoredType::i8, "I8", 1},
                                     {StoredType::u64, "U64", 8},
                                     {StoredType::u32, "U32", 4},
                                     {StoredType::u16, "U16", 2},
                                     {StoredType::u8, "U8", 1},
                                     {StoredType::boolean, "BOOL", 1}}};

const Row& row(StoredType type) { return kRows[static_cast<size_t>(type)]; }

// IEEE 754 binary16.
float from_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t exponent = half >> 10 & 0x1fU;
  const uint32_t fraction = half & 0x3ffU;
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24
    const float value = static_cast<float>(fraction) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000U | fraction << 13);
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t to_half(float value) {
  const uint32_t word = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(word >> 16 & 0x8000U);
  const uint32_t magnitude = word & 0x7fffffffU;
  if (magnitude > 0x7f800000U) {  // NaN stays one, with the fraction's upper bits
    return static_cast<uint16_t>(sign | 0x7e00U | (magnitude >> 13 & 0x3ffU));
  }
  if (magnitude >= 0x477ff000U) return sign | 0x7c00U;  // rounds to 2^16 or above
  if (magnitude < 0x38800000U) {  // subnormal or zero: a multiple of 2^-24, rounded by the addition
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000U));
  }
  const uint32_t rounded = magnitude + 0xfffU + (magnitude >> 13 & 1);
  return static_cast<uint16_t>(sign | (rounded - (112U << 23)) >> 13);
}

template <typename T>
T load(const std::byte* from, int64_t index) {
  T value;
  std::memcpy(&value, from + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
void store(T value, std::byte* to, int64_t index) {
  std::memcpy(to + index * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

}  // namespace

const char* name(StoredType type) { return row(type).name; }

std::optional<StoredType> stored_type(std::string_view name) {
  for (const Row& candidate : kRows) {
    if (name == candidate.name) return candidate.type;
  }
  return std::nullopt;
}

int64_t size_of(StoredType type) { return row(type).bytes; }

bool holds_weights(StoredType type) {
  return type == StoredType::f64 || type == StoredType::f32 || type == StoredType::f16 ||
         type == StoredType::bf16;
}

DType lossless(StoredType type) {
  require(holds_weights(type), "weights of type {}", name(type));
  if (type == StoredType::f64) return DType::f64;
  return type == StoredType::bf16 ? DType::bf16 : DType::f32;
}

StoredType stored(DType type) {
  if (type == DType::f64) return StoredType::f64;
  if (type == DType::bf16) return StoredType::bf16;
  require(type == DType::f32, "weights of type {}", name(type));
  return StoredType::f32;
}

int64_t convert(StoredType from_type, const std::byte* from, int64_t count, StoredType to_type,
                std::byte* to) {
  if (from_type == to_type) {
    std::memcpy(to, from, static_cast<size_t>(count * size_of(to_type)));
    return 0;
  }
  constexpr int64_t kBlock = 4096;
  std::array<float, kBlock> wide{};
  int64_t overflows = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t n = std::min(kBlock, count - begin);
    to_f32(from_type, from + begin * size_of(from_type), n, wide.data());
    overflows += from_f32(wide.data(), n, to_type, to + begin * size_of(to_type));
  }
  return overflows;
}

void to_f32(StoredType type, const std::byte* from, int64_t count, float* to) {
  switch (type) {
    case StoredType::f64:
      for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(load<double>(from, i));
      return;
    case StoredType::f32:
      std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
      return;
    case StoredType::f16:
      for (int64_t i = 0; i < count; ++i) to[i] = from_half(load<uint16_t>(from, i));
      return;
    case StoredType::bf16:
      for (int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(load<BF16>(from, i));
      return;
    default:
      fail(ExitCode::internal, "weights of type {}", name(type));
  }
}

int64_t from_f32(const float* from, int64_t count, StoredType type, std::byte* to) {
  int64_t overflows = 0;
  const auto convert = [&](auto narrow, auto widen) {
    for (int64_t i = 0; i < count; ++i) {
      const auto value = narrow(from[i]);
      overflows += std::isinf(widen(value)) && !std::isinf(from[i]) ? 1 : 0;
      store(value, to, i);
    }
  };
  switch (type) {
    case StoredType::f64:
      for (int64_t i = 0; i < count; ++i) store(static_cast<double>(from[i]), to, i);
      break;
    case StoredType::f32:
      std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
      break;
    case StoredType::f16:
      convert(to_half, from_half);
      break;
    case StoredType::bf16:
      convert([](float value) { return BF16(value); },
              [](BF16 value) { return static_cast<float>(value); });
      break;
    default:
      fail(ExitCode::internal, "weights of type {}", name(type));
  }
  return overflows;
}

}  // namespace troupe
