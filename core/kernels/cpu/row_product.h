// One row times the transposed matrix of a weight as it lies: what a token reads when text is
// generated. oneDNN lays such a matrix out anew for its panels, which takes longer than reading it;
// here it is transposed in registers while it streams from memory.
#pragma once

#include <cstdint>
#include <vector>

namespace troupe::kernels {

// out[j] = the sum over i of x[i] w[j * ld + i], for n rows of w [n, k]: chains of fused
// multiply-adds over `depth` consecutive i from zero, added in their order.
void row_product(const float* x, const float* w, int64_t ld, int64_t k, int64_t n, int64_t depth,
                 float* out);

// The depths in which oneDNN may sum rows of k numbers, each once.
std::vector<int64_t> row_depths(int64_t k);

}  // namespace troupe::kernels
