#include "core/kernels/cpu/panel_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/cpu/panel_kernel.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace troupe::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Two vectors of columns; as many rows as leave registers for the columns and one factor.
constexpr int kTileRows = HWY_TARGET == HWY_AVX2 ? 6 : 12;
template <typename T>
constexpr int64_t kLanes = hn::MaxLanes(hn::ScalableTag<T>());
template <typename T>
constexpr int64_t kTileColumns = 2 * kLanes<T>;

// kPacked: ldb is the tile's columns; known to the compiler it is faster. kAhead: B is met once
// only; its rows are asked for before their turn.
template <typename T, int kRows, bool kColumns, bool kPacked, bool kAhead>
HWY_INLINE void tile(const PanelProduct<T>& p, const T* HWY_RESTRICT a, T* HWY_RESTRICT c) {
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  V left[kRows];
  V right[kRows];
  for (int r = 0; r < kRows; ++r) left[r] = right[r] = hn::Zero(d);
  // What is met next: these lines of C at the end, rows of B from further caches before their turn.
  for (int r = 0; r < kRows; ++r) {
    hwy::Prefetch(c + r * p.ldc);
    hwy::Prefetch(c + r * p.ldc + kTileColumns<T> - 1);
  }
  const T* HWY_RESTRICT b = p.b;
  const int64_t ldb = kPacked ? kTileColumns<T> : p.ldb;
  // Not unrolled the loop takes nearly twice as long on some processors.
#pragma GCC unroll 4
  for (int64_t k = 0; k < p.depth; ++k, b += ldb) {
    if constexpr (kAhead) {
      hwy::Prefetch(b + 16 * ldb);
      if constexpr (kTileColumns<T> * sizeof(T) > 64) hwy::Prefetch(b + 16 * ldb + kLanes<T>);
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

// Brings rows [from, to) of the next panel near: asked for only by its products they would come too
// late from the L3 cache or from memory.
template <typename T>
HWY_INLINE void fetch(const PanelProduct<T>& p, int64_t from, int64_t to) {
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t k = from; k < to; ++k) {
    for (int64_t j = 0; j < kTileColumns<T>; j += kLine) {
      __builtin_prefetch(p.next + k * p.next_ld + j, 0, 3);
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
  if (p.rows <= kTileRows) return rest<T, kTileRows, kColumns, kPacked, true>(p, p.rows, a, p.c);
  const int64_t tiles = (p.rows + kTileRows - 1) / kTileRows;
  const int64_t share = p.next == nullptr ? 0 : (p.depth + tiles - 1) / tiles;
  int64_t fetched = 0;
  const auto fetch_share = [&] {
    if (fetched >= p.depth || share == 0) return;
    const int64_t to = fetched + share < p.depth ? fetched + share : p.depth;
    fetch(p, fetched, to);
    fetched = to;
  };
  int64_t row = 0;
  int64_t left = p.rows;
  // A rest of one or two rows would keep few accumulators busy: two tiles share it.
  const bool even =
      !kColumns && left > kTileRows && left % kTileRows != 0 && left % kTileRows <= kTileRows / 3;
  while (left >= kTileRows + (even ? kTileRows : 0)) {
    fetch_share();
    tile<T, kTileRows, kColumns, kPacked, false>(p, a, p.c + row * p.ldc);
    a += kTileRows * (kColumns ? p.depth : kDepth);
    row += kTileRows;
    left -= kTileRows;
  }
  if (even) {
    const int64_t half = (left + 1) / 2;
    fetch_share();
    rest<T, kTileRows - 1, kColumns, kPacked, false>(p, half, a, p.c + row * p.ldc);
    a += half * kDepth;
    row += half;
    left -= half;
  }
  fetch_share();
  rest<T, kTileRows - 1, kColumns, kPacked, false>(p, left, a, p.c + row * p.ldc);
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
  for (int64_t k = 0; k < depth; ++k, a += lda) {
    int64_t row = 0;
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
HWY_INLINE void copy(const In* b, int64_t ldb, int64_t depth, int64_t columns, T* panel) {
  const hn::ScalableTag<T> d;
  if (columns == kTileColumns<T>) {
    for (int64_t k = 0; k < depth; ++k) {
      hn::StoreU(load(b + k * ldb), d, panel + k * kTileColumns<T>);
      hn::StoreU(load(b + k * ldb + kLanes<T>), d, panel + k * kTileColumns<T> + kLanes<T>);
    }
    return;
  }
  for (int64_t k = 0; k < depth; ++k, b += ldb, panel += kTileColumns<T>) {
    for (int64_t j = 0; j < kTileColumns<T>; ++j) panel[j] = j < columns ? static_cast<T>(b[j]) : 0;
  }
}
void CopyF32(const float* b, int64_t ldb, int64_t depth, int64_t columns, float* panel) {
  copy(b, ldb, depth, columns, panel);
}
void CopyF64(const double* b, int64_t ldb, int64_t depth, int64_t columns, double* panel) {
  copy(b, ldb, depth, columns, panel);
}
void CopyBF16(const BF16* b, int64_t ldb, int64_t depth, int64_t columns, float* panel) {
  copy(b, ldb, depth, columns, panel);
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

}  // namespace troupe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace troupe::kernels {
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
void copy_panel(const float* b, int64_t ldb, int64_t depth, int64_t columns, float* panel) {
  HWY_DYNAMIC_DISPATCH(CopyF32)(b, ldb, depth, columns, panel);
}
void copy_panel(const double* b, int64_t ldb, int64_t depth, int64_t columns, double* panel) {
  HWY_DYNAMIC_DISPATCH(CopyF64)(b, ldb, depth, columns, panel);
}
void copy_panel(const BF16* b, int64_t ldb, int64_t depth, int64_t columns, float* panel) {
  HWY_DYNAMIC_DISPATCH(CopyBF16)(b, ldb, depth, columns, panel);
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

}  // namespace troupe::kernels
#endif
