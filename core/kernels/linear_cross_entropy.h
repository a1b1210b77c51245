// Softmax cross-entropy of x W^T over a vocabulary, for a chunk of tokens; logits exist one tile of
// the vocabulary at a time.
#pragma once

#include "core/device/device.h"
#include "core/kernels/weight_forms.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// What the gradient of a chunk needs and where it goes.
struct CrossEntropyGradient {
  // [C] in the wide type: the loss is the sum of coefficient[t] * nll[t]. Null = no gradient.
  const void* coefficient = nullptr;
  WeightOperand head;           // dlogits W: [V, D]; read if dx is wanted
  View dx;                      // [C, D]; data null = not wanted
  void* logits_left = nullptr;  // receives dlogits^T, [V, padded_rows(C)] (grouped_gemm.h)
};

// x: [C, D] with contiguous columns; head: x W^T; targets: i32 [C] contiguous, below V, negative =
// not counted; nll: [C] contiguous in the wide type, 0 where not counted.
void linear_cross_entropy(Stream& stream, View x, const WeightOperand& head, View targets, View nll,
                          const CrossEntropyGradient& gradient);

}  // namespace troupe::kernels
