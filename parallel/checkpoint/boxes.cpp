#include "parallel/checkpoint/boxes.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace troupe::checkpoint {
namespace {

// Where the element at global `position` stands in the row-major array that holds `box`.
int64_t index_in(const Box& box, const Shape& position) {
  int64_t index = 0;
  for (int i = 0; i < position.rank(); ++i) {
    index = index * box.size[i] + (position[i] - box.offset[i]);
  }
  return index;
}

// The next position in the box over dims [0, dims), row-major; false after the last.
bool advance(Shape& position, const Box& box, int dims) {
  for (int i = dims - 1; i >= 0; --i) {
    if (++position[i] < box.offset[i] + box.size[i]) return true;
    position[i] = box.offset[i];
  }
  return false;
}

}  // namespace

int64_t volume(const Box& box) { return box.size.elements(); }

Box whole(const Shape& global) {
  Box box{global, global};
  for (int i = 0; i < global.rank(); ++i) box.offset[i] = 0;
  return box;
}

bool inside(const Box& box, const Shape& global) {
  if (box.offset.rank() != global.rank() || box.size.rank() != global.rank()) return false;
  for (int i = 0; i < global.rank(); ++i) {
    if (box.offset[i] < 0 || box.size[i] < 0 || box.offset[i] > global[i] - box.size[i]) {
      return false;
    }
  }
  return true;
}

std::optional<Box> intersection(const Box& a, const Box& b) {
  Box out = a;
  for (int i = 0; i < a.size.rank(); ++i) {
    const int64_t begin = std::max(a.offset[i], b.offset[i]);
    const int64_t end = std::min(a.offset[i] + a.size[i], b.offset[i] + b.size[i]);
    if (end <= begin) return std::nullopt;
    out.offset[i] = begin;
    out.size[i] = end - begin;
  }
  return out;
}

std::string text(const Box& box) {
  std::string out = "[";
  for (int i = 0; i < box.size.rank(); ++i) {
    if (i > 0) out += ", ";
    out += std::to_string(box.offset[i]);
    out += ':';
    out += std::to_string(box.offset[i] + box.size[i]);
  }
  return out + "]";
}

void for_each_piece(const Shape& global, size_t element_bytes, int64_t limit,
                    const std::function<void(const Box&)>& visit) {
  if (global.elements() == 0) return;
  const int rank = global.rank();
  // `cut` is the outermost dim of which one index still fits; dims inside it are whole.
  int cut = rank;
  auto index_bytes = static_cast<int64_t>(element_bytes);
  while (cut > 0 && index_bytes <= limit) {
    --cut;
    if (cut > 0 && index_bytes * global[cut] > limit) break;
    if (cut > 0) index_bytes *= global[cut];
  }
  if (rank == 0) {
    visit(whole(global));
    return;
  }
  cut = std::min(cut, rank - 1);
  const int64_t step = std::max<int64_t>(1, limit / index_bytes);
  const Box all = whole(global);
  Shape position = all.offset;
  do {
    for (int64_t begin = 0; begin < global[cut]; begin += step) {
      Box piece = all;
      for (int i = 0; i < cut; ++i) {
        piece.offset[i] = position[i];
        piece.size[i] = 1;
      }
      piece.offset[cut] = begin;
      piece.size[cut] = std::min(step, global[cut] - begin);
      visit(piece);
    }
  } while (advance(position, all, cut));
}

void copy_region(const Box& region, size_t element_bytes, const void* from, const Box& from_box,
                 void* to, const Box& to_box) {
  if (volume(region) == 0) return;
  const int rank = region.size.rank();
  // Dims [outer, rank) are one run of consecutive elements in both arrays.
  int outer = std::max(0, rank - 1);
  int64_t run = rank == 0 ? 1 : region.size[rank - 1];
  while (outer > 0 && region.size[outer] == from_box.size[outer] &&
         region.size[outer] == to_box.size[outer]) {
    --outer;
    run *= region.size[outer];
  }
  const size_t bytes = static_cast<size_t>(run) * element_bytes;
  const auto* source = static_cast<const std::byte*>(from);
  auto* target = static_cast<std::byte*>(to);
  Shape position = region.offset;
  do {
    std::memcpy(target + static_cast<size_t>(index_in(to_box, position)) * element_bytes,
                source + static_cast<size_t>(index_in(from_box, position)) * element_bytes, bytes);
  } while (advance(position, region, outer));
}

}  // namespace troupe::checkpoint
