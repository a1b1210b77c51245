// Sums and means. The order of every sum is fixed by the shape alone: bits do not depend on
// threads. bf16 is summed in f32.
#pragma once

#include "core/tensor/tensor.h"

namespace troupe {

// Of all elements: shape [] (rank 0). The mean of nothing is an error.
Tensor sum(const Tensor& x);
Tensor mean(const Tensor& x);
// Over one dim (negative counts from the end), which disappears, or stays with size 1 if keep.
Tensor sum(const Tensor& x, int dim, bool keep = false);
Tensor mean(const Tensor& x, int dim, bool keep = false);

}  // namespace troupe
