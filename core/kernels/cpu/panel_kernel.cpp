#include "core/kernels/cpu/panel_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/cpu/panel_kernel.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace troupe::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Two vectors of columns; as many rows as leave registers for the columns and one factor.
constexpr int kTileRows = HWY_TARGET == HWY_AVX2 ? 6 : 12;
template <typename T>
constexpr int64_t kLanes = hn::MaxLanes(hn::ScalableTag<T>());
template <typename T>
constexpr int64_t kTileColumns = 2 * kLanes<T>;

// Is what is read next asked for along the steps of a tile, or at its begin? With few rows in a
// tile an instruction more in every step costs more than it gives.
constexpr bool kSpread = HWY_TARGET != HWY_AVX2;

// What is read next, step bytes of it in a step of the depth. Asked for only when it is read it
// would come too late from the L3 cache or from memory.
struct Fetch {
  const std::byte* from = nullptr;
  int64_t step = 0;
};

// kPacked: ldb is the tile's columns; known to the compiler it is faster. kAhead: these rows of B
// are met for the first time; they are asked for before their turn.
template <typename T, int kRows, bool kColumns, bool kPacked, bool kAhead, bool kFetch = false>
HWY_INLINE void tile(const PanelProduct<T>& p, const T* HWY_RESTRICT a, T* HWY_RESTRICT c,
                     const Fetch& fetch = {}) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  V left[kRows];
  V right[kRows];
  for (int r = 0; r < kRows; ++r) left[r] = right[r] = hn::Zero(d);
  // These lines of C are met at the end.
  for (int r = 0; r < kRows; ++r) {
    hwy::Prefetch(c + r * p.ldc);
    hwy::Prefetch(c + r * p.ldc + kTileColumns<T> - 1);
  }
  const T* HWY_RESTRICT b = p.b;
  const int64_t ldb = kPacked ? kTileColumns<T> : p.ldb;
  const std::byte* next = fetch.from;
  if constexpr (kFetch && !kSpread) {
    const std::byte* end = next + p.depth * fetch.step;
    for (; next < end; next += 64) __builtin_prefetch(next, 0, 3);
  }
  // Not unrolled the loop takes nearly twice as long on some processors.
#pragma GCC unroll 4
  for (int64_t k = 0; k < p.depth; ++k, b += ldb) {
    if constexpr (kAhead) {
      hwy::Prefetch(b + 16 * ldb);
      if constexpr (kTileColumns<T> * sizeof(T) > 64) hwy::Prefetch(b + 16 * ldb + kLanes<T>);
    }
    if constexpr (kFetch && kSpread) {
      __builtin_prefetch(next, 0, 2);
      next += fetch.step;
    }
    const V b_left = hn::LoadU(d, b);
    const V b_right = hn::LoadU(d, b + kLanes<T>);
    for (int r = 0; r < kRows; ++r) {
      const V factor = hn::Set(d, kColumns ? a[k * kTileRows + r] : a[r * kDepth + k]);
      left[r] = hn::MulAdd(factor, b_left, left[r]);
      right[r] = hn::MulAdd(factor, b_right, right[r]);
    }
  }
  if (p.columns == kTileColumns<T>) {
    for (int r = 0; r < kRows; ++r) {
      T* row = c + r * p.ldc;
      if (p.add) {
        left[r] = hn::Add(hn::LoadU(d, row), left[r]);
        right[r] = hn::Add(hn::LoadU(d, row + kLanes<T>), right[r]);
      }
      hn::StoreU(left[r], d, row);
      hn::StoreU(right[r], d, row + kLanes<T>);
    }
    return;
  }
  HWY_ALIGN T sums[kRows * kTileColumns<T>];
  for (int r = 0; r < kRows; ++r) {
    hn::Store(left[r], d, sums + r * kTileColumns<T>);
    hn::Store(right[r], d, sums + r * kTileColumns<T> + kLanes<T>);
  }
  for (int r = 0; r < kRows; ++r) {
    for (int64_t j = 0; j < p.columns; ++j) {
      T& out = c[r * p.ldc + j];
      const T sum = sums[r * kTileColumns<T> + j];
      out = p.add ? out + sum : sum;
    }
  }
}

// At most as many rows as a tile has.
template <typename T, int kRows, bool kColumns, bool kPacked, bool kAhead>
HWY_INLINE void rest(const PanelProduct<T>& p, int64_t rows, const T* a, T* c) {
  if constexpr (kRows > 0) {
    if (rows == kRows) return tile<T, kRows, kColumns, kPacked, kAhead>(p, a, c);
    rest<T, kRows - 1, kColumns, kPacked, kAhead>(p, rows, a, c);
  }
}

template <typename T, bool kColumns, bool kPacked>
HWY_INLINE void all_rows(const PanelProduct<T>& p) {
  const T* a = p.a;
  T* c = p.c;
  int64_t left = p.rows;
  if (left <= kTileRows) return rest<T, kTileRows, kColumns, kPacked, true>(p, left, a, c);
  // A rest of one or two rows would keep few accumulators busy: two tiles share it.
  const bool even = !kColumns && left % kTileRows != 0 && left % kTileRows <= kTileRows / 3;
  const int64_t whole = left / kTileRows - (even ? 1 : 0);
  const auto next = [&](int64_t rows) {
    a += rows * (kColumns ? p.depth : kDepth);
    c += rows * p.ldc;
    left -= rows;
  };
  int64_t tiles = whole;
  if (kSpread && tiles > 0) {
    tile<T, kTileRows, kColumns, kPacked, true>(p, a, c);
    next(kTileRows);
    --tiles;
  }
  if (tiles > 0 && p.next_bytes > 0) {
    const int64_t steps = tiles * p.depth;
    Fetch fetch{static_cast<const std::byte*>(p.next), (p.next_bytes + steps - 1) / steps};
    for (; tiles > 0; --tiles) {
      tile<T, kTileRows, kColumns, kPacked, false, true>(p, a, c, fetch);
      fetch.from += p.depth * fetch.step;
      next(kTileRows);
    }
  }
  for (; tiles > 0; --tiles) {
    tile<T, kTileRows, kColumns, kPacked, false>(p, a, c);
    next(kTileRows);
  }
  if (even) {
    const int64_t half = (left + 1) / 2;
    rest<T, kTileRows - 1, kColumns, kPacked, false>(p, half, a, c);
    next(half);
  }
  rest<T, kTileRows - 1, kColumns, kPacked, false>(p, left, a, c);
}

template <typename T>
HWY_INLINE void product(const PanelProduct<T>& p) {
  if (p.ldb == kTileColumns<T>) {
    p.a_columns ? all_rows<T, true, true>(p) : all_rows<T, false, true>(p);
  } else {
    p.a_columns ? all_rows<T, true, false>(p) : all_rows<T, false, false>(p);
  }
}
void ProductF32(const PanelProduct<float>& p) { product(p); }
void ProductF64(const PanelProduct<double>& p) { product(p); }

template <typename T>
HWY_INLINE hn::Vec<hn::ScalableTag<T>> load(const T* from) {
  return hn::LoadU(hn::ScalableTag<T>(), from);
}
HWY_INLINE hn::Vec<hn::ScalableTag<float>> load(const BF16* from) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const hn::Rebind<uint16_t, decltype(d)> d16;
  const auto bits = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, bits)));
}

template <typename In, typename T>
HWY_INLINE void columns(const In* HWY_RESTRICT a, int64_t lda, int64_t depth, int64_t rows,
                        T* HWY_RESTRICT panels) {
  const hn::ScalableTag<T> d;
  constexpr int64_t kVectors = (kTileRows + kLanes<T> - 1) / kLanes<T>;
  constexpr int64_t kRowsAhead = 4;
  for (int64_t k = 0; k < depth; ++k, a += lda) {
    int64_t row = 0;
    // Whole vectors, whose ends the next step overwrites: not in the last one.
    const int64_t end = k + 1 < depth ? rows - kVectors * kLanes<T> : -1;
    for (; row <= end; row += kTileRows) {
      T* HWY_RESTRICT to = panels + row * depth + k * kTileRows;
      hwy::Prefetch(a + kRowsAhead * lda + row);
      for (int64_t v = 0; v < kVectors; ++v) {
        hn::StoreU(load(a + row + v * kLanes<T>), d, to + v * kLanes<T>);
      }
    }
    for (; row + kTileRows <= rows; row += kTileRows) {
      T* HWY_RESTRICT to = panels + row * depth + k * kTileRows;
      for (int r = 0; r < kTileRows; ++r) to[r] = static_cast<T>(a[row + r]);
    }
    T* HWY_RESTRICT to = panels + row * depth + k * kTileRows;
    for (; row < rows; ++row) *to++ = static_cast<T>(a[row]);
  }
}
void ColumnsF32(const float* a, int64_t lda, int64_t depth, int64_t rows, float* panels) {
  columns(a, lda, depth, rows, panels);
}
void ColumnsF64(const double* a, int64_t lda, int64_t depth, int64_t rows, double* panels) {
  columns(a, lda, depth, rows, panels);
}
void ColumnsBF16(const BF16* a, int64_t lda, int64_t depth, int64_t rows, float* panels) {
  columns(a, lda, depth, rows, panels);
}

template <typename In, typename T>
HWY_INLINE void copy(const In* b, int64_t ldb, int64_t depth, int64_t columns, T* panels) {
  const hn::ScalableTag<T> d;
  constexpr int64_t kRowsAhead = 8;
  constexpr int64_t kPanel = kDepth * kTileColumns<T>;
  for (int64_t k = 0; k < depth; ++k, b += ldb, panels += kTileColumns<T>) {
    int64_t j = 0;
    T* panel = panels;
    for (; j + kTileColumns<T> <= columns; j += kTileColumns<T>, panel += kPanel) {
      hwy::Prefetch(b + kRowsAhead * ldb + j);
      hn::StoreU(load(b + j), d, panel);
      hn::StoreU(load(b + j + kLanes<T>), d, panel + kLanes<T>);
    }
    if (j == columns) continue;
    for (int64_t i = 0; i < kTileColumns<T>; ++i) {
      panel[i] = j + i < columns ? static_cast<T>(b[j + i]) : 0;
    }
  }
}
void CopyF32(const float* b, int64_t ldb, int64_t depth, int64_t columns, float* panels) {
  copy(b, ldb, depth, columns, panels);
}
void CopyF64(const double* b, int64_t ldb, int64_t depth, int64_t columns, double* panels) {
  copy(b, ldb, depth, columns, panels);
}
void CopyBF16(const BF16* b, int64_t ldb, int64_t depth, int64_t columns, float* panels) {
  copy(b, ldb, depth, columns, panels);
}

void WidenPairs(const uint32_t* words, int64_t ld, int64_t pairs, int64_t columns, float* panel) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  for (int64_t k = 0; k < pairs; ++k, words += ld, panel += 2 * columns) {
    for (int64_t j = 0; j < columns; j += kLanes<float>) {
      const auto pair = hn::LoadU(du, words + j);
      hn::StoreU(hn::BitCast(d, hn::ShiftLeft<16>(pair)), d, panel + j);
      const auto upper = hn::And(pair, hn::Set(du, 0xffff0000U));
      hn::StoreU(hn::BitCast(d, upper), d, panel + columns + j);
    }
  }
}

int64_t TileRows() { return kTileRows; }
int64_t LanesF32() { return kLanes<float>; }

}  // namespace troupe::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace troupe::kernels::cpu {
HWY_EXPORT(ProductF32);
HWY_EXPORT(ProductF64);
HWY_EXPORT(ColumnsF32);
HWY_EXPORT(ColumnsF64);
HWY_EXPORT(ColumnsBF16);
HWY_EXPORT(CopyF32);
HWY_EXPORT(CopyF64);
HWY_EXPORT(CopyBF16);
HWY_EXPORT(WidenPairs);
HWY_EXPORT(TileRows);
HWY_EXPORT(LanesF32);

void run(const PanelProduct<float>& p) { HWY_DYNAMIC_DISPATCH(ProductF32)(p); }
void run(const PanelProduct<double>& p) { HWY_DYNAMIC_DISPATCH(ProductF64)(p); }
void copy_columns(const float* a, int64_t lda, int64_t depth, int64_t rows, float* panels) {
  HWY_DYNAMIC_DISPATCH(ColumnsF32)(a, lda, depth, rows, panels);
}
void copy_columns(const double* a, int64_t lda, int64_t depth, int64_t rows, double* panels) {
  HWY_DYNAMIC_DISPATCH(ColumnsF64)(a, lda, depth, rows, panels);
}
void copy_columns(const BF16* a, int64_t lda, int64_t depth, int64_t rows, float* panels) {
  HWY_DYNAMIC_DISPATCH(ColumnsBF16)(a, lda, depth, rows, panels);
}
void copy_panels(const float* b, int64_t ldb, int64_t depth, int64_t columns, float* panels) {
  HWY_DYNAMIC_DISPATCH(CopyF32)(b, ldb, depth, columns, panels);
}
void copy_panels(const double* b, int64_t ldb, int64_t depth, int64_t columns, double* panels) {
  HWY_DYNAMIC_DISPATCH(CopyF64)(b, ldb, depth, columns, panels);
}
void copy_panels(const BF16* b, int64_t ldb, int64_t depth, int64_t columns, float* panels) {
  HWY_DYNAMIC_DISPATCH(CopyBF16)(b, ldb, depth, columns, panels);
}

void widen_pairs(const uint32_t* words, int64_t ld, int64_t pairs, int64_t columns, float* panel) {
  HWY_DYNAMIC_DISPATCH(WidenPairs)(words, ld, pairs, columns, panel);
}

template <>
TileSize tile_size<float>() {
  return {HWY_DYNAMIC_DISPATCH(TileRows)(), 2 * HWY_DYNAMIC_DISPATCH(LanesF32)()};
}
template <>
TileSize tile_size<double>() {
  return {HWY_DYNAMIC_DISPATCH(TileRows)(), HWY_DYNAMIC_DISPATCH(LanesF32)()};
}

}  // namespace troupe::kernels::cpu
#endif
