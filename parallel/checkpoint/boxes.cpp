#include "parallel/checkpoint/boxes.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace troupe::checkpoint {
namespace {

// Where the element at global `position` stands in the array, in elements.
int64_t index_in(const BoxArray& array, const Shape& position) {
  int64_t index = 0;
  for (int i = 0; i < position.rank(); ++i) {
    index += (position[i] - array.box.offset[i]) * array.strides[i];
  }
  return index;
}

// The dims [outer, rank) of a region that stand in one run of `count` consecutive elements.
struct Run {
  int outer = 0;
  int64_t count = 1;
};

// The longest run that is one in every array.
Run longest_run(const Shape& size, std::initializer_list<const BoxArray*> arrays) {
  Run run{size.rank(), 1};
  while (run.outer > 0) {
    const int dim = run.outer - 1;
    for (const BoxArray* array : arrays) {
      if (size[dim] != 1 && array->strides[dim] != run.count) return run;
    }
    run.outer = dim;
    run.count *= size[dim];
  }
  return run;
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

void for_each_piece(const Box& box, size_t element_bytes, int64_t limit,
                    const std::function<void(const Box&)>& visit) {
  for_each_piece(box.size, element_bytes, limit, [&](const Box& piece) {
    Box moved = piece;
    for (int i = 0; i < moved.offset.rank(); ++i) moved.offset[i] += box.offset[i];
    visit(moved);
  });
}

std::vector<Box> cut_evenly(const Box& box, int parts) {
  int dim = 0;
  while (dim < box.size.rank() && box.size[dim] < parts) ++dim;
  if (dim == box.size.rank()) return {box};
  std::vector<Box> out;
  for (int i = 0; i < parts; ++i) {
    const int64_t begin = box.size[dim] * i / parts;
    Box part = box;
    part.offset[dim] += begin;
    part.size[dim] = box.size[dim] * (i + 1) / parts - begin;
    out.push_back(part);
  }
  return out;
}

BoxArray packed(const Box& box, void* data) {
  return {box, contiguous_strides(box.size), static_cast<std::byte*>(data)};
}

BoxArray array_of(const StateTensor& entry) {
  const View view = entry.tensor.view();
  return {entry.box, view.strides, static_cast<std::byte*>(view.data)};
}

void copy_region(const Box& region, size_t element_bytes, const BoxArray& from,
                 const BoxArray& to) {
  for_each_common_run(region, from, to, [&](int64_t at_from, int64_t at_to, int64_t count) {
    std::memcpy(to.data + static_cast<size_t>(at_to) * element_bytes,
                from.data + static_cast<size_t>(at_from) * element_bytes,
                static_cast<size_t>(count) * element_bytes);
  });
}

void for_each_common_run(const Box& region, const BoxArray& a, const BoxArray& b,
                         const std::function<void(int64_t, int64_t, int64_t)>& visit) {
  if (volume(region) == 0) return;
  const Run run = longest_run(region.size, {&a, &b});
  Shape position = region.offset;
  do {
    visit(index_in(a, position), index_in(b, position), run.count);
  } while (advance(position, region, run.outer));
}

void for_each_run(const BoxArray& array, size_t element_bytes,
                  const std::function<void(std::byte* begin, int64_t count)>& visit) {
  if (volume(array.box) == 0) return;
  const Run run = longest_run(array.box.size, {&array});
  Shape position = array.box.offset;
  do {
    visit(array.data + static_cast<size_t>(index_in(array, position)) * element_bytes, run.count);
  } while (advance(position, array.box, run.outer));
}

}  // namespace troupe::checkpoint
