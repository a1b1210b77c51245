// The types of elements in files of other programs, and their way to and from f32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/tensor/dtype.h"

namespace troupe {

enum class StoredType : uint8_t {
  f64,
  f32,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean
};

// As safetensors writes it: "F32", "BF16", "F8_E4M3".
const char* name(StoredType type);
std::optional<StoredType> stored_type(std::string_view name);
// Bytes of one element.
int64_t size_of(StoredType type);
// Types that weights may have: f64, f32, f16, bf16.
bool holds_weights(StoredType type);
// The type in memory and in checkpoints that has every value of it; f32 for f16.
DType lossless(StoredType type);
// f64, f32 and bf16, which both sides have.
StoredType stored(DType type);

// count elements of a type that holds weights. Every value of f16 and bf16 is one of f32; an f64 is
// rounded to the nearest.
void to_f32(StoredType type, const std::byte* from, int64_t count, float* to);
// Rounded to the nearest, ties to even. Finite numbers that the type cannot hold become infinite:
// returns how many.
int64_t from_f32(const float* from, int64_t count, StoredType type, std::byte* to);
// From any of these types to any, equal ones bit by bit; others by way of f32. Returns how many
// finite numbers became infinite.
int64_t convert(StoredType from_type, const std::byte* from, int64_t count, StoredType to_type,
                std::byte* to);

}  // namespace troupe
