// The one place that opens a parallel region of OpenMP (kernels/cpu/product.cpp only tells oneDNN
// to use one thread): runs f(piece) for piece in [0, pieces) on the stream's thread team. Pieces
// are claimed in order, one by one, so put the largest first. What a piece computes must not depend
// on which thread runs it: then results do not depend on the number of threads.
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/device/device.h"

namespace troupe {

// A plain function pointer with its context keeps the template thin (and the OpenMP region in one
// .cpp).
void parallel_for(Stream& stream, int64_t pieces, void (*run)(void*, int64_t), void* context);

// f: void(int64_t piece). An exception of a piece ends the loop and is thrown again here.
template <typename F>
void parallel_for(Stream& stream, int64_t pieces, F&& f) {
  parallel_for(
      stream, pieces,
      [](void* context, int64_t piece) {
        (*static_cast<std::remove_reference_t<F>*>(context))(piece);
      },
      const_cast<void*>(static_cast<const void*>(&f)));
}

// Index of the calling thread inside the running parallel_for, in [0, stream.threads): for scratch
// space.
int thread_index();

}  // namespace troupe
