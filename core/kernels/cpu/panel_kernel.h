// The inner loops of products over panels: a block of rows of A times one panel of columns of B.
// A tile of C stays in registers for the whole depth; every element is one chain of fused
// multiply-adds over k, whatever rows and columns stand beside it.
#pragma once

#include <cstdint>

#include "core/tensor/dtype.h"

namespace troupe::kernels::cpu {

// Rows and columns of a tile, for the vectors that are in use.
struct TileSize {
  int64_t rows;
  int64_t columns;
};
template <typename T>  // float or double
TileSize tile_size();

constexpr int64_t kMostTileRows = 12;
constexpr int64_t kMostTileColumns = 32;
// k is summed in blocks of this depth; the sums of blocks are added in their order.
constexpr int64_t kDepth = 256;

template <typename T>
struct PanelProduct {
  int64_t rows;
  int64_t columns;  // of C, at most those of a tile
  int64_t depth;    // at most kDepth
  // Panels of TileSize::rows rows: [rows][kDepth] each, or [depth][rows] when a_columns.
  const T* a;
  bool a_columns;
  const T* b;  // [depth] rows of TileSize::columns, all of them readable
  int64_t ldb;
  T* c;
  int64_t ldc;
  bool add;  // to what C holds; it is not read otherwise
  // What is read next: brought near while this panel is used.
  const void* next;
  int64_t next_bytes;
};
void run(const PanelProduct<float>& p);
void run(const PanelProduct<double>& p);

// Rows of A that lie as columns [depth, rows] into panels [depth][TileSize::rows].
void copy_columns(const float* a, int64_t lda, int64_t depth, int64_t rows, float* panels);
void copy_columns(const double* a, int64_t lda, int64_t depth, int64_t rows, double* panels);
void copy_columns(const BF16* a, int64_t lda, int64_t depth, int64_t rows, float* panels);

// B [depth, columns] as it lies into panels of kDepth rows each, the last filled with zero columns.
void copy_panels(const float* b, int64_t ldb, int64_t depth, int64_t columns, float* panels);
void copy_panels(const double* b, int64_t ldb, int64_t depth, int64_t columns, double* panels);
void copy_panels(const BF16* b, int64_t ldb, int64_t depth, int64_t columns, float* panels);
// Words of two bf16 numbers of neighbouring rows: two rows of the panel each. columns: of a tile.
void widen_pairs(const uint32_t* words, int64_t ld, int64_t pairs, int64_t columns, float* panel);

}  // namespace troupe::kernels::cpu
