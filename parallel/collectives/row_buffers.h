// Memory for rows on their way.
#pragma once

#include "core/tensor/tensor.h"

namespace troupe {

// `rows` rows like those of `like`, uninitialised, counted as communication.
Tensor with_rows(const Tensor& like, int64_t rows);
// Gradients may come as broadcast or strided views: the same values without gaps.
Tensor packed_rows(const Tensor& dy);

}  // namespace troupe
