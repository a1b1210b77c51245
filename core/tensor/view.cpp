#include "core/tensor/view.h"

#include "core/base/error.h"

namespace troupe {

bool View::contiguous() const {
  int64_t expected = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

void View::check_dtype(DType wanted) const {
  require(dtype == wanted, "a {} tensor was read as {}", name(dtype), name(wanted));
}

}  // namespace troupe
