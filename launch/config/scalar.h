// Numbers and durations as people write them: 1_000, 1e6, 64k, 10m. Strict about what is
// ambiguous: leading zeros (octal elsewhere), hexadecimal, infinities.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/field.h"

namespace troupe {

// The value, or why it is none (and, after "; ", how to write it).
template <typename T>
using Scalar = std::variant<T, std::string>;

// Underscores between digits, an exponent that gives a whole number, or a suffix k, M, G (powers of
// 1000) or Ki, Mi, Gi (powers of 1024).
Scalar<int64_t> parse_integer(std::string_view text);
Scalar<double> parse_real(std::string_view text);
// Parts of a number and a unit (ms, s, m, h, d): "8s", "1h30m". In milliseconds, above 0.
Scalar<int64_t> parse_duration(std::string_view text);

std::string format_integer(int64_t value);
// Shortest text that reads back to the same number, always recognisable as a real ("1.0").
std::string format_real(double value);
// A computed number (0.1 x 0.003 is not 0.0003 to the last bit) as people would write it: six
// digits, or as many more as tell it from `other`.
std::string format_computed(double value, double other);
std::string format_duration(int64_t milliseconds);
// As it would be written in YAML: one line, whatever bytes it has (escape_bytes()).
std::string format_text(const std::string& bytes);
std::string format_value(const FieldValue& value);

}  // namespace troupe
