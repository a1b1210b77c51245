// How seals and manifests spell numbers, shapes and element types. Nothing else is accepted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace troupe {

// A whole number of at least 0: digits and nothing else.
std::optional<int64_t> parse_whole(std::string_view text);
// "2x3"; "-" for a single value.
std::string shape_text(const Shape& shape);
// None also where it has more than kMaxRank dims.
std::optional<Shape> parse_shape(std::string_view text);
// "f32", ...
std::optional<DType> parse_dtype(std::string_view text);
// Bytes of a tensor; none when a product on the way leaves 63 bits.
std::optional<int64_t> tensor_bytes(const Shape& shape, DType dtype);

}  // namespace troupe
