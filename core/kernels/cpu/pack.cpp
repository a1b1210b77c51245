#include "core/kernels/cpu/pack.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/kernels/cpu/product.h"
#include "core/kernels/cpu/shuffle.h"

namespace troupe::kernels::cpu {
namespace {

constexpr int64_t kTile = 16;

// 32 rows of bf16 as 16 rows of words: a word holds the same column of rows r and r + 1.
constexpr int64_t kPairTile = 64;
using PairTile = std::array<uint32_t, kTile * kPairTile>;

void load_pairs(const RowsBlock& block, int64_t row, int64_t column, int64_t columns,
                PairTile& tile) {
  const std::array<uint16_t, kPairTile> zeros{};
  const auto* data = static_cast<const uint16_t*>(block.data) + column;
  const auto at = [&](int64_t r) { return r < block.rows ? data + r * block.ld : zeros.data(); };
  for (int64_t p = 0; p < kTile; ++p) {
    interleave(at(row + 2 * p), at(row + 2 * p + 1), columns, tile.data() + p * kPairTile);
  }
}

void transpose_bf16(const RowsBlock& block, uint32_t* out, int64_t out_words) {
  PairTile tile;
  // Rows innermost: the pieces of an output row follow each other.
  for (int64_t column = 0; column < block.columns; column += kPairTile) {
    const int64_t columns = std::min(kPairTile, block.columns - column);
    for (int64_t row = 0; row < block.filled_rows; row += 2 * kTile) {
      load_pairs(block, row, column, columns, tile);
      transpose_words(tile.data(), kPairTile, kTile, columns, out + column * out_words + row / 2,
                      out_words);
    }
  }
}

void transpose_f32(const RowsBlock& block, uint32_t* out, int64_t out_ld) {
  const auto* data = static_cast<const uint32_t*>(block.data);
  transpose_words(data, block.ld, block.rows, block.columns, out, out_ld);
  for (int64_t c = 0; c < block.columns && block.rows < block.filled_rows; ++c) {
    std::fill(out + c * out_ld + block.rows, out + c * out_ld + block.filled_rows, 0U);
  }
}

void transpose_f64(const RowsBlock& block, double* out, int64_t out_ld) {
  const auto* data = static_cast<const double*>(block.data);
  for (int64_t c = 0; c < block.columns; ++c) {
    for (int64_t r = 0; r < block.filled_rows; ++r) {
      out[c * out_ld + r] = r < block.rows ? data[r * block.ld + c] : 0.0;
    }
  }
}

}  // namespace

void pack_transposed(const void* rows, DType dtype, int64_t row, int64_t count, int64_t in,
                     int64_t panel, void* packed) {
  if (dtype == DType::f64) {
    const auto* from = static_cast<const double*>(rows);
    for (int64_t r = row; r < row + count; ++r) {
      double* to = static_cast<double*>(packed) + r / panel * in * panel + r % panel;
      for (int64_t i = 0; i < in; ++i) to[i * panel] = from[(r - row) * in + i];
    }
    return;
  }
  // A word is one f32, or two bf16 that stand side by side in the packed form too.
  const int64_t words = dtype == DType::bf16 ? in / 2 : in;
  const auto* from = static_cast<const uint32_t*>(rows);
  auto* to = static_cast<uint32_t*>(packed);
  for (int64_t r = row; r < row + count; r += kTile) {
    transpose_words(from + (r - row) * words, words, kTile, words,
                    to + r / panel * words * panel + r % panel, panel);
  }
}

void transpose_block(const RowsBlock& block, void* out, int64_t out_ld) {
  switch (block.dtype) {
    case DType::bf16:
      return transpose_bf16(block, static_cast<uint32_t*>(out), out_ld / 2);
    case DType::f32:
      return transpose_f32(block, static_cast<uint32_t*>(out), out_ld);
    default:
      return transpose_f64(block, static_cast<double*>(out), out_ld);
  }
}

void pack_block(const RowsBlock& block, int64_t row, int64_t k, int64_t panel, void* out) {
  const auto size = static_cast<int64_t>(size_of(block.dtype));
  const auto* rows = static_cast<const std::byte*>(block.data);
  auto* to = static_cast<std::byte*>(out);
  if (panel == 0) {
    copy_rows(rows, block.ld, block.rows, block.filled_rows, block.columns, size,
              to + row * block.columns * size, block.columns);
    return;
  }
  const std::array<uint16_t, kPanelColumns> zeros{};
  for (int64_t column = 0; column < block.columns; column += panel) {
    if (block.dtype != DType::bf16) {
      copy_rows(rows + column * size, block.ld, block.rows, block.filled_rows, panel, size,
                to + (column * k + row * panel) * size, panel);
      continue;
    }
    const auto* data = static_cast<const uint16_t*>(block.data) + column;
    const auto at = [&](int64_t r) { return r < block.rows ? data + r * block.ld : zeros.data(); };
    for (int64_t r = 0; r < block.filled_rows; r += 2) {
      interleave(at(r), at(r + 1), panel,
                 static_cast<uint32_t*>(out) + (column * k + (row + r) * panel) / 2);
    }
  }
}

void copy_rows(const void* from, int64_t from_ld, int64_t rows, int64_t filled_rows,
               int64_t columns, int64_t size, void* to, int64_t to_ld) {
  const auto* source = static_cast<const std::byte*>(from);
  auto* target = static_cast<std::byte*>(to);
  const auto bytes = static_cast<size_t>(columns * size);
  if (bytes == 0) return;
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(target + r * to_ld * size, source + r * from_ld * size, bytes);
  }
  for (int64_t r = rows; r < filled_rows; ++r) std::memset(target + r * to_ld * size, 0, bytes);
}

}  // namespace troupe::kernels::cpu
