#include "core/kernels/cpu/panel_product.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/base/error.h"
#include "core/kernels/cpu/panel_kernel.h"
#include "core/kernels/cpu/shuffle.h"
#include "core/kernels/cpu/vector.h"

namespace troupe::kernels::cpu {
namespace {

constexpr int64_t kBlockOfRows = 264;  // a multiple of any tile
constexpr int64_t kPanelsAtOnce = 4;   // that are packed together, where B lies by rows
constexpr int64_t kMostTransposed = kMostTileColumns * kDepth;

// Bytes of packed rows of A that stay in the L2 cache beside panels of B and results.
int64_t bytes_of_rows() {
  static const int64_t bytes = [] {
    constexpr long kSmall = 512 << 10;
    return std::max(sysconf(_SC_LEVEL2_CACHE_SIZE), kSmall) * 3 / 8;
  }();
  return bytes;
}

int64_t up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// In: how the operands are stored; Real: how they are multiplied and added.
template <typename In, typename Real>
class Call {
 public:
  static constexpr bool kWiden = !std::is_same_v<In, Real>;

  static int64_t elements(const ProductShape& s) {
    const TileSize tile = tile_size<Real>();
    const int64_t panels = kPanelsAtOnce * kMostTileColumns * kDepth;
    return rows_of_block(s) * rows_depth(s) + panels + kMostTransposed + sums(s, tile);
  }

  Call(const ProductShape& s, const void* a, const void* b, void* c, void* workspace)
      : s_(s),
        tile_(tile_size<Real>()),
        a_(static_cast<const In*>(a)),
        b_(static_cast<const In*>(b)),
        c_(c),
        rows_(static_cast<Real*>(workspace)),
        panels_(rows_ + rows_of_block(s) * rows_depth(s)),
        transposed_(panels_ + kPanelsAtOnce * kMostTileColumns * kDepth),
        sums_(transposed_ + kMostTransposed),
        narrow_(s.out == DType::bf16) {}

  // Rows of A stay packed for as much of k as the cache holds; a few panels of B meet all of it, so
  // that their part of C is near when the sums of a further depth are added.
  void run() {
    const int64_t chunk = rows_depth(s_);
    for (first_row_ = 0; first_row_ < s_.m; first_row_ += kBlockOfRows) {
      row_count_ = std::min(kBlockOfRows, s_.m - first_row_);
      group_ = s_.block > 0 || s_.transpose_b || few_rows() ? 1 : kPanelsAtOnce;
      for (chunk_ = 0; chunk_ < s_.k; chunk_ += chunk) {
        chunk_end_ = std::min(chunk_ + chunk, s_.k);
        for_depths([&] { pack_rows(); });
        const int64_t columns = group_ * tile_.columns;
        for (int64_t first = 0; first < s_.n; first += columns) {
          for_depths([&] {
            for (int64_t column = first; column < std::min(first + columns, s_.n);
                 column += tile_.columns) {
              multiply(column, panel_at(column));
            }
          });
        }
      }
    }
  }

 private:
  struct Panel {
    const Real* data;
    int64_t ld;
  };

  // In whole tiles.
  static int64_t rows_of_block(const ProductShape& s) {
    return up(std::min(kBlockOfRows, s.m), tile_size<Real>().rows);
  }
  // How much of k the packed rows cover: a multiple of kDepth.
  static int64_t rows_depth(const ProductShape& s) {
    const int64_t step = rows_of_block(s) * kDepth * static_cast<int64_t>(sizeof(Real));
    return std::min(up(s.k, kDepth), std::max<int64_t>(bytes_of_rows() / step, 1) * kDepth);
  }

  // Sums of bf16 results stay in f32 until all k are added: of some panels, or of all.
  static int64_t sums(const ProductShape& s, const TileSize& tile) {
    if (s.out != DType::bf16) return 0;
    const int64_t some = kPanelsAtOnce * tile.columns;
    return kBlockOfRows * (s.k > rows_depth(s) ? up(s.n, tile.columns) : some);
  }

  bool few_rows() const { return row_count_ <= tile_.rows; }

  template <typename F>
  void for_depths(F&& f) {
    for (first_k_ = chunk_; first_k_ < chunk_end_; first_k_ += kDepth) {
      depth_ = std::min(kDepth, chunk_end_ - first_k_);
      f();
    }
  }
  // The packed rows of the depth at hand.
  Real* rows() const { return rows_ + (first_k_ - chunk_) * rows_of_block(s_); }

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
      for (int64_t r = 0; r < row_count_; ++r) {
        widen(from + r * s_.lda, rows() + r * kDepth, depth_);
      }
      return;
    }
    copy_columns(a_ + first_k_ * s_.lda + first_row_, s_.lda, depth_, row_count_, rows());
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

  // What packed_panel reads after the panel at this column, where that lies in one piece.
  void show_next(int64_t column, PanelProduct<Real>& p) const {
    if (s_.block != tile_.columns) return;
    int64_t k = first_k_ + kDepth;
    if (k >= chunk_end_) {
      k = chunk_;
      column += tile_.columns;
    }
    if (column >= s_.n) {
      k = chunk_end_;
      column = 0;
    }
    if (k >= s_.k) return;
    p.next = b_ + column * s_.k + k * s_.block;
    p.next_bytes = std::min(kDepth, s_.k - k) * s_.block * static_cast<int64_t>(sizeof(In));
  }

  // Several panels are packed while their rows are at hand: a row of B is read once for all.
  Panel panel_by_rows(int64_t column, int64_t columns) {
    const In* from = b_ + first_k_ * s_.ldb + column;
    if constexpr (!kWiden) {
      // Packing for few rows would cost more than it gives.
      if (few_rows() && columns == tile_.columns) return {from, s_.ldb};
    }
    const int64_t slot = column / tile_.columns % group_;
    if (slot == 0) {
      copy_panels(from, s_.ldb, depth_, std::min(group_ * tile_.columns, s_.n - column), panels_);
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

  void multiply(int64_t column, const Panel& b) {
    PanelProduct<Real> p{};
    p.rows = row_count_;
    p.columns = std::min(tile_.columns, s_.n - column);
    p.depth = depth_;
    p.a = rows();
    p.a_columns = s_.transpose_a;
    p.b = b.data;
    p.ldb = b.ld;
    show_next(column, p);
    if (!narrow_) {
      p.c = static_cast<Real*>(c_) + first_row_ * s_.ldc + column;
      p.ldc = s_.ldc;
      p.add = first_k_ > 0 || s_.accumulate;
      return cpu::run(p);
    }
    const int64_t panel = column / tile_.columns;
    const bool all_at_once = s_.k <= rows_depth(s_);
    p.c = sums_ + (all_at_once ? panel % group_ : panel) * kBlockOfRows * tile_.columns;
    p.ldc = tile_.columns;
    p.add = first_k_ > 0;
    cpu::run(p);
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
  Real* rows_;        // by depths: [rows of the block, kDepth] each
  Real* panels_;      // [kPanelsAtOnce, kDepth, columns of a tile]
  Real* transposed_;  // [columns of a tile, kDepth]
  Real* sums_;        // [panels, kBlockOfRows, columns of a tile]
  bool narrow_;
  int64_t first_row_ = 0;
  int64_t row_count_ = 0;
  int64_t group_ = 1;  // panels of B that are packed at once
  int64_t chunk_ = 0;  // the part of k that rows_ covers
  int64_t chunk_end_ = 0;
  int64_t first_k_ = 0;  // the depth at hand
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

}  // namespace troupe::kernels::cpu
