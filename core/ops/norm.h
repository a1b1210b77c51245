// Normalisation of the last dim. Statistics in the wide type; weights are read from their main
// value. x of any shape [..., D], so over a head's dim too (QK-norm).
#pragma once

#include "core/parameter/parameter.h"
#include "core/tensor/tensor.h"

namespace troupe {

// x / sqrt(mean(x^2) + eps) * weight (Zhang and Sennrich 2019); weight [D].
Tensor rms_norm(const Tensor& x, Parameter& weight, double eps);
// (x - mean) / sqrt(var + eps) * weight + bias (Ba et al. 2016); weight, bias [D].
Tensor layer_norm(const Tensor& x, Parameter& weight, Parameter& bias, double eps);

}  // namespace troupe
