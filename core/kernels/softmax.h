// Softmax and its kin over the rows of contiguous [R, N] views, computed in the wide type.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// A row of -infinity only gives zeros.
void softmax(Stream& stream, View x, View y);
// dx = y (dy - sum(dy y))
void softmax_gradient(Stream& stream, View y, View dy, View dx);
void log_softmax(Stream& stream, View x, View y);
// dx = dy - exp(y) sum(dy)
void log_softmax_gradient(Stream& stream, View y, View dy, View dx);
// y [R]
void logsumexp(Stream& stream, View x, View y);
// dx = dy exp(x - y); y, dy [R]
void logsumexp_gradient(Stream& stream, View x, View y, View dy, View dx);

}  // namespace troupe::kernels
