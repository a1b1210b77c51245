// Products of bf16 words with AVX512_BF16. Written with intrinsics because Debian's Highway has no
// operation for that instruction.
#include <immintrin.h>

#include "core/kernels/cpu/attention_block.h"
#include "core/kernels/cpu/instruction_set.h"

namespace troupe::kernels::cpu {

bool has_bf16_dot() { return instruction_set() >= InstructionSet::avx512_bf16; }

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")
namespace {

constexpr int kTileRows = 4;

inline __m512bh as_bf16(__m512i word) { return (__m512bh)word; }

template <int kVectors>
inline void tile(const BlockProduct<uint32_t, float>& p, int64_t row, int64_t column) {
  __m512 sum[kTileRows][kVectors];
  float* c = p.c + row * p.ldc + column;
  for (int r = 0; r < kTileRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = p.accumulate ? _mm512_loadu_ps(c + r * p.ldc + v * 16) : _mm512_setzero_ps();
    }
  }
  const uint32_t* a = p.a + row * p.a_row;
  const uint32_t* b = p.b + column;
  for (int64_t w = 0; w < p.words; ++w, a += p.a_word, b += p.ldb) {
    __m512bh columns[kVectors];
    for (int v = 0; v < kVectors; ++v) columns[v] = as_bf16(_mm512_loadu_si512(b + v * 16));
    for (int r = 0; r < kTileRows; ++r) {
      const __m512bh factor = as_bf16(_mm512_set1_epi32(static_cast<int>(a[r * p.a_row])));
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] = _mm512_dpbf16_ps(sum[r][v], factor, columns[v]);
      }
    }
  }
  for (int r = 0; r < kTileRows; ++r) {
    for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(c + r * p.ldc + v * 16, sum[r][v]);
  }
}

}  // namespace

void run_bf16_dot(const BlockProduct<uint32_t, float>& p) {
  int64_t column = 0;
  for (; column + 64 <= p.n; column += 64) {
    for (int64_t row = 0; row < p.m; row += kTileRows) tile<4>(p, row, column);
  }
  for (; column + 32 <= p.n; column += 32) {
    for (int64_t row = 0; row < p.m; row += kTileRows) tile<2>(p, row, column);
  }
  for (; column < p.n; column += 16) {
    for (int64_t row = 0; row < p.m; row += kTileRows) tile<1>(p, row, column);
  }
}
#pragma GCC pop_options

}  // namespace troupe::kernels::cpu
