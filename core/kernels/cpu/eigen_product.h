// Products by Eigen, single-threaded: f64, and f32 where oneDNN has no fast code.
#pragma once

#include "core/kernels/product.h"

namespace troupe::kernels {

void eigen_product(const ProductShape& shape, const void* a, const void* b, void* c);

}  // namespace troupe::kernels
