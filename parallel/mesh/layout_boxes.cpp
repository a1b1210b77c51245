// Layout arithmetic: which part of a global tensor a rank holds.
#include <algorithm>

#include "core/base/error.h"
#include "parallel/mesh/mesh.h"

namespace troupe {
namespace {

struct Interval {
  int64_t begin;
  int64_t size;
};
using Intervals = std::vector<Interval>;  // concatenated: the local order

int64_t length(const Intervals& intervals) {
  int64_t sum = 0;
  for (const Interval& interval : intervals) sum += interval.size;
  return sum;
}

// Appends elements [begin, end) of the concatenation of `from`; neighbours are merged.
void append_slice(const Intervals& from, int64_t begin, int64_t end, Intervals& to) {
  int64_t at = 0;
  for (const Interval& interval : from) {
    const int64_t low = std::max(begin, at);
    const int64_t high = std::min(end, at + interval.size);
    if (low < high) {
      const int64_t start = interval.begin + (low - at);
      if (!to.empty() && to.back().begin + to.back().size == start) {
        to.back().size += high - low;
      } else {
        to.push_back({start, high - low});
      }
    }
    at += interval.size;
  }
}

[[noreturn]] void fail_division(int64_t size, int parts, Axis axis, const char* why) {
  fail(ExitCode::usage, "a dim of {} cannot be cut over {} {} parts{}: choose a divisor of {}",
       size, parts, name(axis), why, size);
}

Intervals cut_one(const Intervals& whole, const DimCut& cut, int parts, int index) {
  const int64_t size = length(whole);
  Intervals out;
  switch (cut.cut) {
    case Cut::block: {
      if (size % parts != 0) fail_division(size, parts, cut.axis, "");
      append_slice(whole, size / parts * index, size / parts * (index + 1), out);
      return out;
    }
    case Cut::uneven: {
      // The first size % parts ranks hold one more.
      const int64_t each = size / parts;
      const int64_t more = size % parts;
      const int64_t begin = each * index + std::min<int64_t>(index, more);
      append_slice(whole, begin, begin + each + (index < more ? 1 : 0), out);
      return out;
    }
    case Cut::zigzag: {
      // 2 * parts chunks; rank i holds chunk i and chunk 2 * parts - 1 - i, so that causal
      // attention costs every rank the same.
      if (parts == 1) return whole;
      if (size % (2 * parts) != 0) fail_division(size, 2 * parts, cut.axis, " (two a rank)");
      const int64_t chunk = size / (2 * parts);
      append_slice(whole, chunk * index, chunk * (index + 1), out);
      const int64_t mirror = 2 * parts - 1 - index;
      append_slice(whole, chunk * mirror, chunk * (mirror + 1), out);
      return out;
    }
  }
  return out;
}

Intervals local_intervals(const Layout& layout, size_t dim, const MeshShape& shape,
                          const std::array<int, kAxes>& coordinates) {
  const DimLayout& cuts = layout.dims[dim];
  const int64_t size = layout.global[static_cast<int>(dim)];
  std::vector<int64_t> sections = cuts.sections;
  if (sections.empty()) sections = {size};
  int64_t begin = 0;
  Intervals out;
  for (int64_t section : sections) {
    Intervals part = {{begin, section}};
    for (const DimCut& cut : cuts.cuts) {
      part = cut_one(part, cut, shape[cut.axis], coordinates[static_cast<size_t>(cut.axis)]);
    }
    append_slice(part, 0, length(part), out);
    begin += section;
  }
  require(begin == size, "the sections of dim {} sum to {}, not to {}", dim, begin, size);
  return out;
}

std::vector<Intervals> all_intervals(const Layout& layout, const MeshShape& shape,
                                     const std::array<int, kAxes>& coordinates) {
  require(layout.dims.size() == static_cast<size_t>(layout.global.rank()),
          "a layout with {} dims for shape {}", layout.dims.size(), layout.global.text());
  std::vector<Intervals> out;
  for (size_t dim = 0; dim < layout.dims.size(); ++dim) {
    out.push_back(local_intervals(layout, dim, shape, coordinates));
  }
  return out;
}

}  // namespace

LocalSlice local_slice(const Layout& layout, const MeshShape& shape,
                       const std::array<int, kAxes>& coordinates) {
  LocalSlice slice;
  slice.parts.resize(1);
  for (const Intervals& intervals : all_intervals(layout, shape, coordinates)) {
    std::vector<LocalPart> next;
    for (const LocalPart& part : slice.parts) {
      int64_t at = 0;
      for (const Interval& interval : intervals) {
        LocalPart grown = part;
        grown.global.offset.append(interval.begin);
        grown.global.size.append(interval.size);
        grown.local_offset.append(at);
        next.push_back(grown);
        at += interval.size;
      }
    }
    slice.parts = std::move(next);
    slice.shape.append(length(intervals));
  }
  return slice;
}

Shape local_shape(const Layout& layout, const MeshShape& shape,
                  const std::array<int, kAxes>& coordinates) {
  return local_slice(layout, shape, coordinates).shape;
}

}  // namespace troupe
