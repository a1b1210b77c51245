// What the update rules share.
#pragma once

#include <cstddef>

#include "core/base/field.h"
#include "core/tensor/tensor.h"

namespace troupe {

// Address of an element of a contiguous tensor.
inline std::byte* element(const Tensor& tensor, int64_t index) {
  return static_cast<std::byte*>(tensor.view().data) +
         index * static_cast<int64_t>(size_of(tensor.dtype()));
}

// The option `weight_decay`.
inline Field weight_decay_field() {
  Field field = make_field(
      "weight_decay", FieldType::real, 0.1,
      "Each step a weight shrinks by lr times this; not norms, biases and router biases.");
  field.minimum = 0;
  field.maximum = 100;
  return field;
}

}  // namespace troupe
