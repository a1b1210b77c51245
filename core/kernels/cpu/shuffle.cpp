#include "core/kernels/cpu/shuffle.h"

#include <hwy/highway.h>

#include <algorithm>

// 128-bit vectors of the baseline: these loops wait for memory, wider ones gain nothing.
namespace troupe::kernels::cpu {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

void transpose_four(const uint32_t* in, int64_t in_ld, uint32_t* out, int64_t out_ld) {
  const hn::FixedTag<uint32_t, 4> d;
  const hn::FixedTag<uint64_t, 2> d64;
  const auto a = hn::LoadU(d, in);
  const auto b = hn::LoadU(d, in + in_ld);
  const auto c = hn::LoadU(d, in + 2 * in_ld);
  const auto e = hn::LoadU(d, in + 3 * in_ld);
  const auto ab_lower = hn::BitCast(d64, hn::InterleaveLower(d, a, b));
  const auto ab_upper = hn::BitCast(d64, hn::InterleaveUpper(d, a, b));
  const auto ce_lower = hn::BitCast(d64, hn::InterleaveLower(d, c, e));
  const auto ce_upper = hn::BitCast(d64, hn::InterleaveUpper(d, c, e));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_lower, ce_lower)), d, out);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_lower, ce_lower)), d, out + out_ld);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_upper, ce_upper)), d, out + 2 * out_ld);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_upper, ce_upper)), d, out + 3 * out_ld);
}

void transpose_tile(const uint32_t* in, int64_t in_ld, int64_t rows, int64_t columns, uint32_t* out,
                    int64_t out_ld) {
  for (int64_t c = 0; c < columns; c += 4) {
    int64_t r = 0;
    if (c + 4 <= columns) {
      for (; r + 4 <= rows; r += 4) {
        transpose_four(in + r * in_ld + c, in_ld, out + c * out_ld + r, out_ld);
      }
    }
    for (; r < rows; ++r) {
      for (int64_t j = c; j < c + 4 && j < columns; ++j) out[j * out_ld + r] = in[r * in_ld + j];
    }
  }
}

}  // namespace

void interleave(const uint16_t* a, const uint16_t* b, int64_t count, uint32_t* out) {
  const hn::FixedTag<uint16_t, 8> d;
  auto* halves = reinterpret_cast<uint16_t*>(out);
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const auto first = hn::LoadU(d, a + i);
    const auto second = hn::LoadU(d, b + i);
    hn::StoreU(hn::InterleaveLower(d, first, second), d, halves + 2 * i);
    hn::StoreU(hn::InterleaveUpper(d, first, second), d, halves + 2 * i + 8);
  }
  for (; i < count; ++i) out[i] = uint32_t{a[i]} | uint32_t{b[i]} << 16;
}

void transpose_words(const uint32_t* in, int64_t in_ld, int64_t rows, int64_t columns,
                     uint32_t* out, int64_t out_ld) {
  constexpr int64_t tile = 16;  // a cache line of both sides
  for (int64_t c0 = 0; c0 < columns; c0 += tile) {
    for (int64_t r0 = 0; r0 < rows; r0 += tile) {
      transpose_tile(in + r0 * in_ld + c0, in_ld, std::min(tile, rows - r0),
                     std::min(tile, columns - c0), out + c0 * out_ld + r0, out_ld);
    }
  }
}

}  // namespace troupe::kernels::cpu
