#include "core/kernels/cpu/pack.h"

#include <array>
#include <bit>

namespace troupe::kernels {
namespace {

constexpr int64_t kTile = 16;

// Two bf16 numbers in one word, the first in the lower half.
uint32_t pair(float first, float second) {
  return static_cast<uint32_t>(BF16(first).bits) | static_cast<uint32_t>(BF16(second).bits) << 16;
}

// 16 rows x 16 words of w, where a word is one f32 or two neighbouring bf16.
template <bool Bf16>
void load_tile(const float* w, int64_t stride, std::array<std::array<uint32_t, kTile>, kTile>& to) {
  for (int64_t r = 0; r < kTile; ++r) {
    const float* row = w + r * stride;
    for (int64_t j = 0; j < kTile; ++j) {
      to[r][j] = Bf16 ? pair(row[2 * j], row[2 * j + 1]) : std::bit_cast<uint32_t>(row[j]);
    }
  }
}

template <bool Bf16>
void transposed(const float* w, int64_t row, int64_t rows, int64_t in, int64_t block,
                uint32_t* packed) {
  constexpr int64_t group = Bf16 ? 2 * kTile : kTile;
  const int64_t group_words = kTile * block;
  std::array<std::array<uint32_t, kTile>, kTile> tile;
  for (int64_t k = 0; k < in; k += group) {
    for (int64_t r = row; r < row + rows; r += kTile) {
      load_tile<Bf16>(w + r * in + k, in, tile);
      uint32_t* to = packed + (r / block * (in / group) + k / group) * group_words + r % block;
      for (int64_t j = 0; j < kTile; ++j) {
        for (int64_t i = 0; i < kTile; ++i) to[j * block + i] = tile[i][j];
      }
    }
  }
}

template <bool Bf16>
void straight(const float* w, int64_t row, int64_t rows, int64_t out, int64_t in, int64_t block,
              uint32_t* packed) {
  constexpr int64_t step = Bf16 ? 2 : 1;
  constexpr int64_t group = kTile * step;
  const int64_t groups = out / group;
  for (int64_t k = row; k < row + rows; k += step) {
    const float* first = w + k * in;
    const float* second = first + (Bf16 ? in : 0);
    for (int64_t panel = 0; panel < in / block; ++panel) {
      uint32_t* to =
          packed + (panel * groups + k / group) * kTile * block + k % group / step * block;
      const float* a = first + panel * block;
      const float* b = second + panel * block;
      for (int64_t i = 0; i < block; ++i) {
        to[i] = Bf16 ? pair(a[i], b[i]) : std::bit_cast<uint32_t>(a[i]);
      }
    }
  }
}

}  // namespace

void pack_transposed(const float* w, int64_t row, int64_t rows, int64_t in, int block, DType to,
                     void* packed) {
  auto* words = static_cast<uint32_t*>(packed);
  to == DType::bf16 ? transposed<true>(w, row, rows, in, block, words)
                    : transposed<false>(w, row, rows, in, block, words);
}

void pack_straight(const float* w, int64_t row, int64_t rows, int64_t out, int64_t in, int block,
                   DType to, void* packed) {
  auto* words = static_cast<uint32_t*>(packed);
  to == DType::bf16 ? straight<true>(w, row, rows, out, in, block, words)
                    : straight<false>(w, row, rows, out, in, block, words);
}

void convert_rows(const float* from, int64_t count, BF16* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = BF16(from[i]);
}

}  // namespace troupe::kernels
