// The cut of an output matrix into tiles: a rule of sizes only.
#pragma once

#include <algorithm>
#include <cstdint>

namespace troupe::kernels::cpu {

struct Tile {
  int64_t row = 0;
  int64_t rows = 0;
  int64_t column = 0;
  int64_t columns = 0;
};

// Tiles of at most 512 x 512, made smaller (not below 128 x 128) until all `matrices` together give
// 16 tiles: small enough to share out, large enough to run at full speed.
class Tiles {
 public:
  Tiles(int64_t rows, int64_t columns, int64_t matrices) : rows_(rows), columns_(columns) {
    constexpr int64_t wanted = 16;
    while (count() * matrices < wanted && (fits(row_step_, rows) || fits(column_step_, columns))) {
      const bool cut_rows =
          fits(row_step_, rows) && (std::min(row_step_, rows) >= std::min(column_step_, columns) ||
                                    !fits(column_step_, columns));
      (cut_rows ? row_step_ : column_step_) /= 2;
    }
  }
  int64_t count() const { return along(rows_, row_step_) * along(columns_, column_step_); }
  Tile tile(int64_t index) const {
    const int64_t across = along(columns_, column_step_);
    Tile out;
    out.row = index / across * row_step_;
    out.rows = std::min(row_step_, rows_ - out.row);
    out.column = index % across * column_step_;
    out.columns = std::min(column_step_, columns_ - out.column);
    return out;
  }

 private:
  static constexpr int64_t kSmallest = 128;
  // Would half the step still cut this dim into pieces of kSmallest or more?
  static bool fits(int64_t step, int64_t size) { return step > kSmallest && size > step / 2; }
  static int64_t along(int64_t size, int64_t step) { return (size + step - 1) / step; }
  int64_t rows_;
  int64_t columns_;
  int64_t row_step_ = 512;
  int64_t column_step_ = 512;
};

}  // namespace troupe::kernels::cpu
