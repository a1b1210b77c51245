#include "models/convert/linear_range.h"

#include "core/base/error.h"

namespace troupe {

Box box_of_range(const Shape& shape, int64_t first, int64_t count) {
  require(first >= 0 && count >= 1 && first + count <= shape.elements(), "elements {} to {} of {}",
          first, first + count, shape.text());
  Box box;
  int64_t inside = shape.elements();  // elements of one index of the dims so far
  bool cut = false;  // the dim with several rows is behind us: the others are whole
  for (int dim = 0; dim < shape.rank(); ++dim) {
    inside /= shape[dim];
    if (cut) {
      box.offset.append(0);
      box.size.append(shape[dim]);
      continue;
    }
    const int64_t rows = count / inside;
    box.offset.append(first / inside);
    box.size.append(rows > 1 ? rows : 1);
    first %= inside;
    if (rows < 1) continue;
    cut = true;
    require(rows * inside == count && first == 0 && box.offset[dim] + rows <= shape[dim],
            "a part of {} that is no box", shape.text());
  }
  return box;
}

}  // namespace troupe
