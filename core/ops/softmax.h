// Softmax and its kin over the last dim. Computed in the wide type, given in the type of x.
#pragma once

#include "core/tensor/tensor.h"

namespace troupe {

// A row of -infinity only gives zeros (and a zero gradient).
Tensor softmax(const Tensor& x);
Tensor log_softmax(const Tensor& x);
// log(sum(exp(x))) of each row: [..., N] -> [...].
Tensor logsumexp(const Tensor& x);

}  // namespace troupe
