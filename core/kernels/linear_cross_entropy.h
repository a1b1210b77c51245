// Softmax cross-entropy of x W^T over a vocabulary, for a chunk of tokens; logits exist one tile of
// the vocabulary at a time.
#pragma once

#include "core/device/device.h"
#include "core/kernels/packed_weights.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// What the gradient of a chunk needs and where it goes.
struct CrossEntropyGradient {
  // [C] in the wide type: the loss is the sum of coefficient[t] * nll[t]. Data null = no gradient.
  View coefficient;
  // [C] in the wide type: log-sum-exp over the whole vocabulary, where the head is a part of it
  // (and a target is negative also when it is in another part). Data null = the head is the
  // whole vocabulary.
  View logsumexp;
  WeightOperand head;  // dlogits W: [V, D]; read if dx is wanted
  View dx;             // [C, D]; data null = not wanted
  // Receives dlogits for the weight gradient (grouped_gemm.h): [padded_rows(C), V] where products
  // are own, else dlogits^T, [V, padded_rows(C)].
  View dlogits;
  template <typename F>
  void for_each_view(F&& f) {
    for (View* view : {&coefficient, &logsumexp, &head.memory, &dx, &dlogits}) f(*view);
  }
};

// Rows of a chunk of C that one thread takes at a time.
int64_t cross_entropy_block(int64_t rows);
// Bytes that a thread takes for `rows` of them; gradients: CrossEntropyGradient is given.
int64_t cross_entropy_scratch(int64_t rows, int64_t vocabulary, int64_t dim, DType compute,
                              bool gradients = true);

// x: [C, D] with contiguous columns; head: x W^T; targets: i32 [C] contiguous, below V, negative =
// not counted; nll: [C] contiguous in the wide type, 0 where not counted.
void linear_cross_entropy(Stream& stream, View x, const WeightOperand& head, View targets, View nll,
                          const CrossEntropyGradient& gradient);

// Where the head is a part of the vocabulary: the log-sum-exp over this part and the target's logit
// (0 where the target is negative), both [C] in the wide type.
void vocabulary_part(Stream& stream, View x, const WeightOperand& head, View targets,
                     View logsumexp, View wanted);

// gathered [ranks, 2, tokens]: what vocabulary_part said on each rank; logsumexp, wanted [tokens]:
// of the whole vocabulary.
void join_vocabulary(Stream& stream, View gathered, View logsumexp, View wanted);

// Zero where the target is negative: nothing of a token that is not counted goes into gradients.
void clear_uncounted(Stream& stream, View targets, View coefficient);
// out = a - b, zero where the target is negative.
void subtract_counted(Stream& stream, View a, View b, View targets, View out);
// out [] = the sum of coefficient[t] * nll[t] over the counted tokens, in order, in f64.
void weighted_sum(Stream& stream, View nll, View targets, View coefficient, View out);
// x *= factor [], in place; nothing to do where it is 1.
void scale_by(Stream& stream, View factor, View x);

}  // namespace troupe::kernels
