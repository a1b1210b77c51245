// Arithmetic of boxes of a global tensor, and copies between boxes held in row-major order.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "core/parameter/layout.h"

namespace troupe::checkpoint {

int64_t volume(const Box& box);
// The whole tensor.
Box whole(const Shape& global);
bool inside(const Box& box, const Shape& global);
// The common part; none when it is empty.
std::optional<Box> intersection(const Box& a, const Box& b);
std::string text(const Box& box);  // "[0:4, 2:6]"

// Cuts a tensor into boxes whose elements are consecutive in row-major order, at most `limit` bytes
// each (one element at least), in that order.
void for_each_piece(const Shape& global, size_t element_bytes, int64_t limit,
                    const std::function<void(const Box&)>& visit);

// Copies `region` (a part of both boxes) from an array that holds `from_box` to one that holds
// `to_box`.
void copy_region(const Box& region, size_t element_bytes, const void* from, const Box& from_box,
                 void* to, const Box& to_box);

}  // namespace troupe::checkpoint
