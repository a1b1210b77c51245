// One matrix product of fixed sizes by one thread: the piece from which all products are made.
// Pieces run inside parallel_for; what a piece computes does not depend on the team.
#pragma once

#include <cstdint>
#include <functional>

#include "core/device/device.h"
#include "core/tensor/dtype.h"

namespace troupe::kernels::cpu {

// C [m, n] = A [m, k] B [k, n], or C += A B when accumulate.
struct ProductShape {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  int64_t lda = 0;  // elements from one stored row of A to the next; likewise ldb, ldc
  int64_t ldb = 0;  // not read when block > 0
  int64_t ldc = 0;
  bool transpose_a = false;  // A is stored as [k, m]
  bool transpose_b = false;  // B is stored as [n, k]
  bool accumulate = false;
  DType in = DType::f32;   // of A and B
  DType out = DType::f32;  // `in`, or f32 for bf16 operands
  int block = 0;           // > 0: B is packed in panels of this many columns (packed_weights.h)
  bool operator==(const ProductShape& other) const = default;
};

class Product;

// Looks a product up, or makes it (0.1 to 0.3 ms in oneDNN). Belongs to the device; lives as long
// as it. May be called inside a piece, but looking up before the loop is cheaper.
const Product& product(Device& device, const ProductShape& shape);

// Runs it on the calling thread. The threads of the device's stream may do so at the same time; no
// other thread may. m = 0 or n = 0 does nothing, k = 0 writes zeros (or adds none).
void run(const Product& product, const void* a, const void* b, void* c);

// Are products of this type own code? It needs no making, and reads rows of either operand as they
// lie: sums over rows need no other form of them.
bool own_products(DType dtype);

// Looks a product up and runs it; one of own code is not kept.
void run(Device& device, const ProductShape& shape, const void* a, const void* b, void* c);

// Bytes that a thread keeps for products of this shape; of the library's, as measured.
int64_t product_workspace(const ProductShape& shape);

// Makes a family of products before they are needed: member(i) for every i in [1, count] that was
// not made before. Row counts of experts change with every step; without this each new one would
// make a product, and map pages for its code, in the middle of training. family: what names it.
void prepare(Device& device, const ProductShape& family, int64_t count,
             const std::function<ProductShape(int64_t)>& member);

// Memory of the calling thread of the stream's team, 64-byte aligned, kept between calls; valid
// until the same thread asks again.
void* thread_scratch(Device& device, int64_t bytes);

// Columns of a panel of an operand packed for oneDNN.
constexpr int kPanelColumns = 64;

// Column width of the packed form that is fastest for B [k, n] of this type, 0 = as it lies: that
// of oneDNN's panels where it has fast code, else that of own code (8 to 32). Packed: panels of
// `block` columns one after the other; bf16 holds rows k and k + 1 next to each other per column.
int packed_block(Device& device, DType dtype, int64_t k, int64_t n);

// Has the processor bf16 products? Where it has none, or none that are faster (fast_bf16), operands
// are widened to f32.
bool hardware_bf16();

}  // namespace troupe::kernels::cpu
