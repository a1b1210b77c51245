// Blocks of a sequence brought into the word forms that products of attention_block.h take, with
// zeros beyond the last row and the last column.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/kernels/cpu/attention_block.h"
#include "core/kernels/cpu/shuffle.h"
#include "core/tensor/dtype.h"

namespace troupe::kernels::cpu {

struct AttentionF64 {
  using In = double;
  using Word = double;
  using T = double;
  static constexpr int64_t kNumbers = 1;  // in a word
};
struct AttentionF32 {
  using In = float;
  using Word = float;
  using T = float;
  static constexpr int64_t kNumbers = 1;
};
struct AttentionBF16 {
  using In = BF16;
  using Word = uint32_t;
  using T = float;
  static constexpr int64_t kNumbers = 2;
};

// Rows of one head: row i at data + i * stride.
template <typename In>
struct HeadRows {
  const In* data;
  int64_t stride;
  int64_t count;  // rows that exist, at most kBlockRows are read
  int64_t size;   // head_dim
};

// [64, words] words of neighbouring columns: the A operand whose summed dim is head_dim.
template <typename P>
void pack_rows(const HeadRows<typename P::In>& x, int64_t words, typename P::Word* out) {
  using In = typename P::In;
  auto* numbers = reinterpret_cast<In*>(out);
  const int64_t width = words * P::kNumbers;
  const int64_t rows = std::min(x.count, kBlockRows);
  for (int64_t i = 0; i < kBlockRows; ++i) {
    In* row = numbers + i * width;
    const int64_t used = i < rows ? x.size : 0;
    if (used > 0) std::memcpy(row, x.data + i * x.stride, static_cast<size_t>(used) * sizeof(In));
    std::fill(row + used, row + width, In());
  }
}

// [64 / numbers, columns] words of neighbouring rows: the B operand whose summed dim is the row.
template <typename P>
void pack_columns(const HeadRows<typename P::In>& x, int64_t columns, typename P::Word* out) {
  using In = typename P::In;
  if constexpr (P::kNumbers == 1) {
    pack_rows<P>(x, columns, out);
  } else {
    const int64_t rows = std::min(x.count, kBlockRows);
    for (int64_t i = 0; i < kBlockRows; i += 2) {
      typename P::Word* row = out + i / 2 * columns;
      const In* even = x.data + i * x.stride;
      const In* odd = even + x.stride;
      const int64_t used = i < rows ? x.size : 0;
      if (i + 1 < rows) {
        for (int64_t j = 0; j < used; ++j) {
          row[j] = uint32_t{even[j].bits} | uint32_t{odd[j].bits} << 16;
        }
      } else {
        for (int64_t j = 0; j < used; ++j) row[j] = even[j].bits;
      }
      std::fill(row + used, row + columns, 0U);
    }
  }
}

// [words, 64] words of neighbouring columns, transposed: the B operand whose summed dim is
// head_dim.
template <typename P>
void pack_transposed(const HeadRows<typename P::In>& x, int64_t words, typename P::Word* out) {
  using In = typename P::In;
  const int64_t rows = std::min(x.count, kBlockRows);
  if (rows < kBlockRows || x.size < words * P::kNumbers) {
    std::fill(out, out + words * kBlockRows, typename P::Word());
  }
  if constexpr (sizeof(typename P::Word) == sizeof(uint32_t)) {
    // Whole words: of one number, or of two that lie side by side in every row.
    if (x.size % P::kNumbers == 0 && x.stride % P::kNumbers == 0 &&
        reinterpret_cast<uintptr_t>(x.data) % sizeof(uint32_t) == 0) {
      return transpose_words(reinterpret_cast<const uint32_t*>(x.data), x.stride / P::kNumbers,
                             rows, words, reinterpret_cast<uint32_t*>(out), kBlockRows);
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    const In* row = x.data + i * x.stride;
    if constexpr (P::kNumbers == 1) {
      for (int64_t w = 0; w < x.size; ++w) out[w * kBlockRows + i] = row[w];
    } else {
      for (int64_t w = 0; w < x.size / 2; ++w) {
        out[w * kBlockRows + i] = uint32_t{row[2 * w].bits} | uint32_t{row[2 * w + 1].bits} << 16;
      }
      if (x.size % 2 == 1) out[x.size / 2 * kBlockRows + i] = row[x.size - 1].bits;
    }
  }
}

}  // namespace troupe::kernels::cpu
