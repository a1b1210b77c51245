#include "parallel/checkpoint/boxes.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace troupe {
namespace {

using checkpoint::for_each_piece;
using checkpoint::volume;

// Pieces are in order, consecutive in row-major order, within the limit, and together everything.
TEST(CheckpointBoxes, PiecesFollowEachOther) {
  const std::vector<Shape> shapes = {
      Shape{},        Shape{1},          Shape{7},       Shape{3, 5},    Shape{0, 4},
      Shape{4, 1, 3}, Shape{2, 3, 4, 5}, Shape{1, 1, 9}, Shape{5, 0, 2}, Shape{6, 2}};
  for (const Shape& shape : shapes) {
    std::vector<int64_t> numbers(static_cast<size_t>(shape.elements()));
    std::iota(numbers.begin(), numbers.end(), 0);
    for (const int64_t limit : {1, 8, 16, 24, 40, 64, 100, 160, 480, 4096}) {
      std::vector<int64_t> seen;
      for_each_piece(shape, 8, limit, [&](const Box& piece) {
        ASSERT_LE(volume(piece) * 8, std::max<int64_t>(8, limit));
        std::vector<int64_t> part(static_cast<size_t>(volume(piece)));
        checkpoint::copy_region(piece, 8,
                                checkpoint::packed(checkpoint::whole(shape), numbers.data()),
                                checkpoint::packed(piece, part.data()));
        seen.insert(seen.end(), part.begin(), part.end());
      });
      EXPECT_EQ(seen, numbers) << shape.text() << " limit " << limit;
    }
  }
}

TEST(CheckpointBoxes, PiecesAreAsLargeAsTheLimitAllows) {
  int pieces = 0;
  for_each_piece(Shape{100, 10}, 4, 400, [&](const Box& piece) {
    EXPECT_EQ(piece.size, (Shape{10, 10}));
    ++pieces;
  });
  EXPECT_EQ(pieces, 10);
}

TEST(CheckpointBoxes, CopiesBetweenBoxes) {
  std::vector<int32_t> from(4 * 6);
  std::iota(from.begin(), from.end(), 0);
  const Box whole = checkpoint::whole(Shape{4, 6});
  const Box target{Shape{1, 2}, Shape{3, 3}};
  const Box region{Shape{2, 3}, Shape{2, 2}};
  std::vector<int32_t> to(9, -1);
  checkpoint::copy_region(region, 4, checkpoint::packed(whole, from.data()),
                          checkpoint::packed(target, to.data()));
  EXPECT_EQ(to, (std::vector<int32_t>{-1, -1, -1, -1, 15, 16, -1, 21, 22}));
  EXPECT_EQ(checkpoint::intersection(whole, target), target);
  EXPECT_FALSE(checkpoint::intersection(target, Box{Shape{0, 2}, Shape{1, 3}}).has_value());
}

TEST(CheckpointBoxes, CopiesIntoAStridedArray) {
  std::vector<int32_t> from = {1, 2, 3, 4};
  std::vector<int32_t> to(12, 0);
  const Box box{Shape{5, 7}, Shape{2, 2}};
  checkpoint::BoxArray strided{box, Shape{6, 2}, reinterpret_cast<std::byte*>(to.data())};
  checkpoint::copy_region(box, 4, checkpoint::packed(box, from.data()), strided);
  EXPECT_EQ(to, (std::vector<int32_t>{1, 0, 2, 0, 0, 0, 3, 0, 4, 0, 0, 0}));
  std::vector<int64_t> counts;
  checkpoint::for_each_run(strided, 4, [&](std::byte*, int64_t count) { counts.push_back(count); });
  EXPECT_EQ(counts, (std::vector<int64_t>{1, 1, 1, 1}));
  std::vector<int32_t> rows(12, 0);
  strided = {box, Shape{6, 1}, reinterpret_cast<std::byte*>(rows.data())};
  checkpoint::copy_region(box, 4, checkpoint::packed(box, from.data()), strided);
  EXPECT_EQ(rows, (std::vector<int32_t>{1, 2, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace troupe
