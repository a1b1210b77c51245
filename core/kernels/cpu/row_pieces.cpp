#include "core/kernels/cpu/row_pieces.h"

#include <algorithm>

namespace troupe::kernels {

int64_t RowGroups::total() const {
  int64_t sum = 0;
  for (int64_t e = 0; e < experts; ++e) sum += rows[e];
  return sum;
}

int64_t RowGroups::padded_total() const {
  int64_t sum = 0;
  for (int64_t e = 0; e < experts; ++e) sum += padded_rows(rows[e]);
  return sum;
}

}  // namespace troupe::kernels

namespace troupe::kernels::cpu {
namespace {

// Enough pieces to keep a team busy to its end.
constexpr int64_t kWantedPieces = 16;
constexpr int64_t kColumnUnit = 64;

}  // namespace

int64_t product_rows(int64_t rows) {
  for (int64_t size : kProductRows) {
    if (rows <= size) return size;
  }
  return (rows + 15) / 16 * 16;
}

std::vector<RowPiece> row_pieces(RowGroups groups, int64_t columns) {
  int64_t blocks = 0;
  for (int64_t e = 0; e < groups.experts; ++e)
    blocks += (groups.rows[e] + kRowBlock - 1) / kRowBlock;
  int64_t width = columns;
  if (blocks > 0 && blocks < kWantedPieces) {
    const int64_t cuts = (kWantedPieces + blocks - 1) / blocks;
    width = (columns / cuts + kColumnUnit - 1) / kColumnUnit * kColumnUnit;
    width = std::max(width, 2 * kColumnUnit);
  }
  width = std::max<int64_t>(width, 1);
  std::vector<RowPiece> out;
  const auto add = [&](RowPiece piece) {
    for (piece.column = 0; piece.column < columns; piece.column += width) {
      piece.columns = std::min(width, columns - piece.column);
      out.push_back(piece);
    }
  };
  for (const bool whole : {true, false}) {
    RowPiece piece;
    int64_t first = 0;
    int64_t padded_first = 0;
    for (int64_t e = 0; e < groups.experts; ++e) {
      const int64_t rows = groups.rows[e];
      const int64_t in_blocks = rows / kRowBlock * kRowBlock;
      piece.expert = e;
      for (int64_t row = whole ? 0 : in_blocks; row < (whole ? in_blocks : rows);
           row += kRowBlock) {
        piece.row = first + row;
        piece.padded_row = padded_first + row;
        piece.row_in_expert = row;
        piece.expert_rows = rows;
        piece.rows = std::min(kRowBlock, rows - row);
        add(piece);
      }
      first += rows;
      padded_first += padded_rows(rows);
    }
  }
  return out;
}

}  // namespace troupe::kernels::cpu
