#include "core/parameter/flat_range.h"

#include <algorithm>

#include "core/base/error.h"

namespace troupe {
namespace {

// Cuts elements [begin, end) of the part of `box` that its dims before `dim` choose (there its
// size is 1) into boxes, in order.
void cut(const Box& box, int dim, int64_t begin, int64_t end, std::vector<Box>& out) {
  if (begin == end) return;
  int64_t stride = 1;
  for (int i = dim + 1; i < box.size.rank(); ++i) stride *= box.size[i];
  if (dim == box.size.rank()) {
    out.push_back(box);
    return;
  }
  const auto rows = [&](int64_t first, int64_t count) {
    Box part = box;
    part.offset[dim] = first;
    part.size[dim] = count;
    return part;
  };
  int64_t first = begin / stride;
  if (begin % stride != 0) {
    const int64_t stop = std::min(end - first * stride, stride);
    cut(rows(first, 1), dim + 1, begin - first * stride, stop, out);
    ++first;
  }
  const int64_t last = end / stride;
  if (last > first) out.push_back(rows(first, last - first));
  if (last >= first && end % stride != 0) cut(rows(last, 1), dim + 1, 0, end % stride, out);
}

// The part of a local box that lies in one part of the slice, in global places.
void append_common(const Box& local, const LocalPart& part, const Shape& strides,
                   std::vector<RangeBox>& out) {
  RangeBox found{part.global, 0};
  for (int dim = 0; dim < strides.rank(); ++dim) {
    const int64_t begin = std::max(local.offset[dim], part.local_offset[dim]);
    const int64_t end = std::min(local.offset[dim] + local.size[dim],
                                 part.local_offset[dim] + part.global.size[dim]);
    if (begin >= end) return;
    found.global.offset[dim] += begin - part.local_offset[dim];
    found.global.size[dim] = end - begin;
    found.first += begin * strides[dim];
  }
  out.push_back(found);
}

}  // namespace

std::vector<RangeBox> boxes_of_range(const LocalSlice& slice, const FlatRange& range) {
  require(range.begin >= 0 && range.count >= 0 && range.end() <= slice.shape.elements(),
          "elements [{}, {}) of a local tensor {}", range.begin, range.end(), slice.shape.text());
  Box whole{slice.shape, slice.shape};
  for (int dim = 0; dim < whole.offset.rank(); ++dim) whole.offset[dim] = 0;
  std::vector<Box> local;
  cut(whole, 0, range.begin, range.end(), local);
  const Shape strides = contiguous_strides(slice.shape);
  std::vector<RangeBox> out;
  for (const Box& box : local) {
    for (const LocalPart& part : slice.parts) append_common(box, part, strides, out);
  }
  return out;
}

void append_range(State& state, const std::string& name, const Layout& layout,
                  const LocalSlice& slice, const FlatRange& range, const Tensor& values) {
  require(values.elements() == range.count && values.contiguous(),
          "{}: {} values for a range of {} elements", name, values.elements(), range.count);
  if (range.count == 0 && layout.global.rank() > 0) {
    // The name is listed all the same: every rank tells of the tensor.
    Shape none = layout.global;
    for (int dim = 0; dim < none.rank(); ++dim) none[dim] = 0;
    state.tensors.push_back(
        {name, layout, Box{none, none}, values.strided(none, contiguous_strides(none), 0)});
  }
  const Shape strides = contiguous_strides(slice.shape);
  for (const RangeBox& box : boxes_of_range(slice, range)) {
    state.tensors.push_back({name, layout, box.global,
                             values.strided(box.global.size, strides, box.first - range.begin)});
  }
}

}  // namespace troupe
