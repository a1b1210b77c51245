// Rows of a table by id.
#pragma once

#include "core/parameter/parameter.h"
#include "core/tensor/tensor.h"

namespace troupe {

// table [V, D], ids i32 or i64 of any shape -> [ids..., D] in the table's compute type. An id
// outside [0, V) is Error(data) that names it. The gradient sums the rows of one id in the order of
// their positions: bits do not depend on threads.
Tensor embedding(Parameter& table, const Tensor& ids);

}  // namespace troupe
