// Elementwise loops over strided and broadcast views: dims are merged, the work is cut into pieces
// for the thread team, and a kernel sees contiguous blocks of the wide type, whatever the views
// are. So a value does not depend on the layout of its operands, and a kernel is written once.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels::cpu {

constexpr int64_t kBlock = 512;  // elements of a block: all operands of one fit the L1 cache
constexpr int kMaxOperands = 6;

using BlockF32 = void (*)(const void* context, int64_t n, const float* const* in,
                          float* const* out);
using BlockF64 = void (*)(const void* context, int64_t n, const double* const* in,
                          double* const* out);

struct BlockKernel {
  BlockF32 f32;
  BlockF64 f64;
  const void* context = nullptr;
};

// All views have one shape and floating types. Runs f64 if any view is f64, else f32.
void run_blocks(Stream& stream, std::initializer_list<View> inputs,
                std::initializer_list<View> outputs, const BlockKernel& kernel);

// A kernel from a functor with operator()(n, in, out) for both types.
template <typename F>
BlockKernel block_kernel(const F& f) {
  return {[](const void* context, int64_t n, const float* const* in, float* const* out) {
            (*static_cast<const F*>(context))(n, in, out);
          },
          [](const void* context, int64_t n, const double* const* in, double* const* out) {
            (*static_cast<const F*>(context))(n, in, out);
          },
          &f};
}

}  // namespace troupe::kernels::cpu
