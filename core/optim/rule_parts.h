// What the update rules share.
#pragma once

#include "core/base/field.h"

namespace troupe {

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
