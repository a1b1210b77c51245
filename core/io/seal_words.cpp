#include "core/io/seal_words.h"

#include <charconv>

namespace troupe {

std::optional<int64_t> parse_whole(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::string shape_text(const Shape& shape) {
  if (shape.rank() == 0) return "-";
  std::string out = std::to_string(shape[0]);
  for (int i = 1; i < shape.rank(); ++i) out.append("x").append(std::to_string(shape[i]));
  return out;
}

std::optional<Shape> parse_shape(std::string_view text) {
  Shape shape;
  if (text == "-") return shape;
  while (shape.rank() < kMaxRank) {
    const size_t stop = text.find('x');
    const auto size = parse_whole(text.substr(0, stop));
    if (!size) return std::nullopt;
    shape.append(*size);
    if (stop == std::string_view::npos) return shape;
    text.remove_prefix(stop + 1);
  }
  return std::nullopt;
}

std::optional<DType> parse_dtype(std::string_view text) {
  for (const DType dtype :
       {DType::f64, DType::f32, DType::bf16, DType::i64, DType::i32, DType::u8}) {
    if (text == name(dtype)) return dtype;
  }
  return std::nullopt;
}

std::optional<int64_t> tensor_bytes(const Shape& shape, DType dtype) {
  auto product = static_cast<int64_t>(size_of(dtype));
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(product, size, &product)) return std::nullopt;
  }
  return product;
}

}  // namespace troupe
