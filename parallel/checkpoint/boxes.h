// Arithmetic of boxes of a global tensor, and copies between boxes in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "core/parameter/state.h"

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
// The same of a box; pieces are consecutive in the box alone.
void for_each_piece(const Box& box, size_t element_bytes, int64_t limit,
                    const std::function<void(const Box&)>& visit);

// Where the elements of a box stand in memory.
struct BoxArray {
  Box box;
  Shape strides;  // in elements
  std::byte* data = nullptr;
};
// Row-major, without gaps.
BoxArray packed(const Box& box, void* data);
BoxArray array_of(const StateTensor& entry);

// Copies `region`, a part of both boxes.
void copy_region(const Box& region, size_t element_bytes, const BoxArray& from, const BoxArray& to);

// Calls visit(index_a, index_b, count) for the runs of `region`, a part of both boxes, that stand
// in consecutive elements in both arrays, in row-major order; the indices are those of the runs'
// first elements in the arrays.
void for_each_common_run(
    const Box& region, const BoxArray& a, const BoxArray& b,
    const std::function<void(int64_t index_a, int64_t index_b, int64_t count)>& visit);

// Cuts a box into `parts` boxes along its first dim that is long enough; sizes differ by one index.
// Fewer boxes than parts when no dim is.
std::vector<Box> cut_evenly(const Box& box, int parts);

// Calls visit(begin, count) for the runs of consecutive elements of an array, in order.
void for_each_run(const BoxArray& array, size_t element_bytes,
                  const std::function<void(std::byte* begin, int64_t count)>& visit);

}  // namespace troupe::checkpoint
