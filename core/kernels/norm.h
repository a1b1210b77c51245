// RMSNorm and LayerNorm over the rows of contiguous [R, D] views. weight, bias [D] and the
// statistics [R] have the wide type of x. Weight gradients sum rows in chunks of fixed size, added
// in order.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// y = x r w with r = 1 / sqrt(mean(x^2) + eps). r is an output too: backward reads it.
void rms_norm(Stream& stream, View x, View weight, double eps, View y, View r);
void rms_norm_gradient(Stream& stream, View x, View weight, View r, View dy, View dx);
// dw = (or +=) sum over rows of dy x r
void rms_norm_weight_gradient(Stream& stream, View x, View r, View dy, View dw, bool accumulate);

// y = (x - m) r w + b with r = 1 / sqrt(var(x) + eps)
void layer_norm(Stream& stream, View x, View weight, View bias, double eps, View y, View m, View r);
void layer_norm_gradient(Stream& stream, View x, View weight, View m, View r, View dy, View dx);
void layer_norm_weight_gradient(Stream& stream, View x, View m, View r, View dy, View dw,
                                bool accumulate);
// db = (or +=) sum over rows of dy
void bias_gradient(Stream& stream, View dy, View db, bool accumulate);

}  // namespace troupe::kernels
