// Ranges of a parameter's local tensor, counted in row-major order: what a rank keeps where state
// is sharded without regard to rows and columns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/parameter/state.h"

namespace troupe {

struct FlatRange {
  int64_t begin = 0;
  int64_t count = 0;
  int64_t end() const { return begin + count; }
  bool operator==(const FlatRange& other) const = default;
};

// A box of the global tensor whose elements lie inside a flat range of the local one: element
// (i, j, ...) of the box is number first + sum of index * stride of the local tensor.
struct RangeBox {
  Box global;
  int64_t first = 0;
};

// The boxes that fill a range of the local tensor of `slice`, each element once. A tensor of rank r
// that is one box of the global tensor gives at most 2r - 1.
std::vector<RangeBox> boxes_of_range(const LocalSlice& slice, const FlatRange& range);

// Lists the boxes of a range; values: its elements, [range.count]. A range without elements is
// listed as an empty box where the shape allows one.
void append_range(State& state, const std::string& name, const Layout& layout,
                  const LocalSlice& slice, const FlatRange& range, const Tensor& values);

}  // namespace troupe
