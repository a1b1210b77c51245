#include "core/kernels/cpu/panel_product.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/base/error.h"
#include "core/kernels/cpu/panel_kernel.h"
#include "core/kernels/cpu/shuffle.h"
#include "core/kernels/cpu/vector.h"

namespace troupe::kernels {
namespace {

constexpr int64_t kBlockOfRows = 264;  // with kDepth it fits the L2 cache; a multiple of any tile
constexpr int64_t kPanelsAtOnce = 4;   // that are packed together, where B lies by rows
constexpr int64_t kMostTransposed = kMostTileColumns * kDepth;

int64_t up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// In: how the operands are stored; Real: how they are multiplied and added.
template <typename In, typename Real>
class Call {
 public:
  static constexpr bool kWiden = !std::is_same_v<In, Real>;

  static int64_t elements(const ProductShape& s) {
    const TileSize tile = tile_size<Real>();
    const int64_t panels = kPanelsAtOnce * kMostTileColumns * kDepth;
    return kBlockOfRows * kDepth + panels + kMostTransposed + sums(s, tile);
  }

  Call(const ProductShape& s, const void* a, const void* b, void* c, void* workspace)
      : s_(s),
        tile_(tile_size<Real>()),
        a_(static_cast<const In*>(a)),
        b_(static_cast<const In*>(b)),
        c_(c),
        rows_(static_cast<Real*>(workspace)),
        panels_(rows_ + kBlockOfRows * kDepth),
        transposed_(panels_ + kPanelsAtOnce * kMostTileColumns * kDepth),
        sums_(transposed_ + kMostTransposed),
        narrow_(s.out == DType::bf16) {}

  void run() {
    for (first_row_ = 0; first_row_ < s_.m; first_row_ += kBlockOfRows) {
      row_count_ = std::min(kBlockOfRows, s_.m - first_row_);
      for (first_k_ = 0; first_k_ < s_.k; first_k_ += kDepth) {
        depth_ = std::min(kDepth, s_.k - first_k_);
        pack_rows();
        int64_t panel = 0;
        for (int64_t column = 0; column < s_.n; column += tile_.columns, ++panel) {
          const Panel b = panel_at(column);
          multiply(panel, column, b);
        }
      }
    }
  }

 private:
  struct Panel {
    const Real* data;
    int64_t ld;
  };

  // Sums of bf16 results stay in f32 until all k are added: of one panel, or of all.
  static int64_t sums(const ProductShape& s, const TileSize& tile) {
    if (s.out != DType::bf16) return 0;
    return kBlockOfRows * (s.k > kDepth ? up(s.n, tile.columns) : tile.columns);
  }

  void widen(const In* from, Real* to, int64_t count) const {
    if constexpr (kWiden) {
      vec::to_f32(from, to, count);
    } else {
      std::memcpy(to, from, static_cast<size_t>(count) * sizeof(Real));
    }
  }

  // The block of rows in the form that the kernel reads.
  void pack_rows() {
    if (!s_.transpose_a) {
      const In* from = a_ + first_row_ * s_.lda + first_k_;
      for (int64_t r = 0; r < row_count_; ++r) widen(from + r * s_.lda, rows_ + r * kDepth, depth_);
      return;
    }
    copy_columns(a_ + first_k_ * s_.lda + first_row_, s_.lda, depth_, row_count_, rows_);
  }

  // The panel of B that begins at this column, from k first_k_ on.
  Panel panel_at(int64_t column) {
    const int64_t columns = std::min(tile_.columns, s_.n - column);
    if (s_.block > 0) return packed_panel(column);
    if (s_.transpose_b) {
      transpose(b_ + column * s_.ldb + first_k_, columns);
      return {panels_, tile_.columns};
    }
    return panel_by_rows(column, columns);
  }

  // B lies in panels as wide as a tile or a multiple of it (pack.h).
  Panel packed_panel(int64_t column) {
    const int64_t offset = column % s_.block;
    const In* from = b_ + (column - offset) * s_.k + first_k_ * s_.block;
    if constexpr (!kWiden) return {from + offset, s_.block};
    widen_pairs(reinterpret_cast<const uint32_t*>(from) + offset, s_.block, (depth_ + 1) / 2,
                tile_.columns, reinterpret_cast<float*>(panels_));
    return {panels_, tile_.columns};
  }

  // What packed_panel reads after the panel at this column; null at the end of the operand and for
  // one that is widened first.
  Panel next_packed(int64_t column) const {
    if constexpr (kWiden) return {};
    if (s_.block == 0) return {};
    column += tile_.columns;
    int64_t k = first_k_;
    if (column >= s_.n) {
      column = 0;
      k += kDepth;
      if (k + depth_ > s_.k) return {};
    }
    const int64_t offset = column % s_.block;
    return {reinterpret_cast<const Real*>(b_) + (column - offset) * s_.k + k * s_.block + offset,
            s_.block};
  }

  // Several panels are packed while their rows are at hand: a row of B is read once for all.
  Panel panel_by_rows(int64_t column, int64_t columns) {
    const In* from = b_ + first_k_ * s_.ldb + column;
    const bool few = row_count_ <= tile_.rows;  // packing would cost more than it gives
    if constexpr (!kWiden) {
      if (few && columns == tile_.columns) return {from, s_.ldb};
    }
    const int64_t at_once = few ? 1 : kPanelsAtOnce;
    const int64_t slot = column / tile_.columns % at_once;
    for (int64_t p = 0; slot == 0 && p < at_once && column + p * tile_.columns < s_.n; ++p) {
      const int64_t first = p * tile_.columns;
      copy_panel(from + first, s_.ldb, depth_, std::min(tile_.columns, s_.n - column - first),
                 panels_ + first * kDepth);
    }
    return {panels_ + slot * tile_.columns * kDepth, tile_.columns};
  }

  // Columns of B that lie as rows [columns, k].
  void transpose(const In* from, int64_t columns) {
    int64_t ld = s_.ldb;
    const Real* wide = nullptr;
    if constexpr (kWiden) {
      for (int64_t j = 0; j < columns; ++j) widen(from + j * ld, transposed_ + j * kDepth, depth_);
      wide = transposed_;
      ld = kDepth;
    } else {
      wide = from;
    }
    if constexpr (sizeof(Real) == sizeof(uint32_t)) {
      transpose_words(reinterpret_cast<const uint32_t*>(wide), ld, columns, depth_,
                      reinterpret_cast<uint32_t*>(panels_), tile_.columns);
    } else {
      for (int64_t k = 0; k < depth_; ++k) {
        for (int64_t j = 0; j < columns; ++j) panels_[k * tile_.columns + j] = wide[j * ld + k];
      }
    }
    for (int64_t k = 0; k < depth_ && columns < tile_.columns; ++k) {
      std::fill(panels_ + k * tile_.columns + columns, panels_ + (k + 1) * tile_.columns, Real(0));
    }
  }

  void multiply(int64_t panel, int64_t column, const Panel& b) {
    PanelProduct<Real> p{};
    p.rows = row_count_;
    p.columns = std::min(tile_.columns, s_.n - column);
    p.depth = depth_;
    p.a = rows_;
    p.a_columns = s_.transpose_a;
    p.b = b.data;
    p.ldb = b.ld;
    if (const Panel next = next_packed(column); next.data != nullptr) {
      p.next = next.data;
      p.next_ld = next.ld;
    }
    if (!narrow_) {
      p.c = static_cast<Real*>(c_) + first_row_ * s_.ldc + column;
      p.ldc = s_.ldc;
      p.add = first_k_ > 0 || s_.accumulate;
      return kernels::run(p);
    }
    p.c = sums_ + (s_.k > kDepth ? panel * kBlockOfRows * tile_.columns : 0);
    p.ldc = tile_.columns;
    p.add = first_k_ > 0;
    kernels::run(p);
    if constexpr (kWiden) {
      if (first_k_ + depth_ == s_.k) round_sums(p, column);
    }
  }

  void round_sums(const PanelProduct<Real>& p, int64_t column) {
    for (int64_t r = 0; r < p.rows; ++r) {
      Real* sum = p.c + r * p.ldc;
      BF16* out = static_cast<BF16*>(c_) + (first_row_ + r) * s_.ldc + column;
      if (s_.accumulate) {
        for (int64_t j = 0; j < p.columns; ++j) sum[j] += static_cast<float>(out[j]);
      }
      vec::to_bf16(sum, out, p.columns);
    }
  }

  const ProductShape& s_;
  TileSize tile_;
  const In* a_;
  const In* b_;
  void* c_;
  Real* rows_;        // [kBlockOfRows, kDepth]
  Real* panels_;      // [kPanelsAtOnce, kDepth, columns of a tile]
  Real* transposed_;  // [columns of a tile, kDepth]
  Real* sums_;        // [panels or 1, kBlockOfRows, columns of a tile]
  bool narrow_;
  int64_t first_row_ = 0;
  int64_t row_count_ = 0;
  int64_t first_k_ = 0;
  int64_t depth_ = 0;
};

// Calls f.template operator()<In, Real>().
template <typename F>
auto by_type(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f64:
      return f.template operator()<double, double>();
    case DType::f32:
      return f.template operator()<float, float>();
    default:
      return f.template operator()<BF16, float>();
  }
}

}  // namespace

int64_t panel_columns(DType dtype) {
  return dtype == DType::f64 ? tile_size<double>().columns : tile_size<float>().columns;
}

int64_t panel_workspace_bytes(const ProductShape& shape) {
  return by_type(shape.in, [&]<typename In, typename Real>() {
    return Call<In, Real>::elements(shape) * static_cast<int64_t>(sizeof(Real));
  });
}

void panel_product(const ProductShape& shape, const void* a, const void* b, void* c,
                   std::byte* workspace) {
  require(shape.block % panel_columns(shape.in) == 0 &&
              (shape.block == 0 || shape.n % panel_columns(shape.in) == 0),
          "a product of {} columns with B in panels of {}, which here are multiples of {}", shape.n,
          shape.block, panel_columns(shape.in));
  by_type(shape.in,
          [&]<typename In, typename Real>() { Call<In, Real>(shape, a, b, c, workspace).run(); });
}

}  // namespace troupe::kernels
