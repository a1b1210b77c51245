// The inner parts of blocked attention: products of small matrices in scratch memory and the
// softmax between them. An operand is made of words: one number (f64, f32), or two bf16 numbers
// that are neighbours along the summed dim.
#pragma once

#include <cstdint>

namespace troupe::kernels::cpu {

constexpr int64_t kBlockRows = 64;  // queries, and keys, of a block
constexpr int64_t kColumns = 16;    // columns of operands in scratch are padded to this with zeros

// C [m, n] = (or +=) sum over words w of A(i, w) . B(w, j). m is a multiple of 4 and n of kColumns.
// A(i, w) = a[i * a_row + w * a_word]; B(w, j) = b[w * ldb + j].
template <typename Word, typename T>
struct BlockProduct {
  int64_t m;
  int64_t n;
  int64_t words;
  const Word* a;
  int64_t a_row;
  int64_t a_word;
  const Word* b;
  int64_t ldb;
  T* c;
  int64_t ldc;
  bool accumulate;
};
void run(const BlockProduct<double, double>& p);
void run(const BlockProduct<float, float>& p);
void run(const BlockProduct<uint32_t, float>& p);

// One block of the running softmax. s [64, 64]: scores, -infinity where masked. Row by row:
// m' = max(m, scale max(s)); p = exp(scale s - m'); l = l exp(m - m') + sum(p); o [64, n] *= exp(m
// - m'). p is written as words, row-major ([64, 64 / numbers in a word]); it may be s.
template <typename Word, typename T>
struct ForwardSoftmax {
  const T* s;
  T scale;
  T* m;
  T* l;
  T* o;
  int64_t n;
  Word* p;
};
void run(const ForwardSoftmax<double, double>& f);
void run(const ForwardSoftmax<float, float>& f);
void run(const ForwardSoftmax<uint32_t, float>& f);

// p = exp(scale s - lse); ds = scale p (dp - d), all [64, 64] and lse, d [64].
// p_columns, ds_columns: words of neighbouring rows, [64 / numbers in a word, 64]; ds_rows: words
// of neighbouring columns, [64, 64 / numbers in a word]. For one-number words ds_columns is
// ds_rows; p_columns may be s and ds_rows may be dp.
template <typename Word, typename T>
struct BackwardSoftmax {
  const T* s;
  const T* dp;
  T scale;
  const T* lse;
  const T* d;
  Word* p_columns;
  Word* ds_rows;
  Word* ds_columns;
};
void run(const BackwardSoftmax<double, double>& f);
void run(const BackwardSoftmax<float, float>& f);
void run(const BackwardSoftmax<uint32_t, float>& f);

// The two ways of bf16 words: by the processor's own instruction (AVX512_BF16) where it has one,
// which run() prefers, and by f32 arithmetic.
bool has_bf16_dot();
void run_bf16_dot(const BlockProduct<uint32_t, float>& p);
void run_bf16_wide(const BlockProduct<uint32_t, float>& p);

}  // namespace troupe::kernels::cpu
