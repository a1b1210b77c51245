// A product cut over its outputs, then one cut over its inputs, between enter and leave: forward
// and gradient as on one rank.
#include "parallel/tp/region.h"

#include <gtest/gtest.h>

#include "core/autograd/tape.h"
#include "core/ops/matmul.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe {
namespace {

constexpr int64_t kRows = 4;
constexpr int64_t kDim = 3;
constexpr int64_t kHidden = 4;

// Small integers: sums are exact in any order.
std::vector<double> numbers(int64_t count, int64_t salt) {
  std::vector<double> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(static_cast<double>((i * 7 + salt) % 11 - 5));
  return out;
}

Tensor rows(const std::vector<double>& values, int64_t columns, int64_t begin, int64_t count,
            const std::shared_ptr<Device>& device) {
  const auto first = values.begin() + begin * columns;
  return Tensor::from(std::vector<double>(first, first + count * columns), Shape{count, columns},
                      DType::f64, device);
}

struct Result {
  std::vector<double> y;   // stream rows of this rank
  std::vector<double> dx;  // of the same rows
};

// x [4, 3] in, x A^T B^T out, A [hidden, 3] cut over its rows, B^T [hidden, 3] likewise.
std::vector<Result> run(int tp, bool sp) {
  std::vector<Result> out(static_cast<size_t>(tp));
  run_ranks(tp, [&](int rank, std::shared_ptr<Communicator> world) {
    MeshShape shape;
    shape[Axis::tp] = tp;
    shape[Axis::etp] = tp;
    Parallelism parallelism(shape);
    parallelism.sp = sp && tp > 1;
    const Mesh mesh(parallelism, std::move(world));
    const auto device = Device::cpu(1);
    const int64_t part = kHidden / tp;
    const int64_t count = parallelism.sp ? kRows / tp : kRows;
    const int64_t begin = parallelism.sp ? rank * count : 0;
    Result& mine = out[static_cast<size_t>(rank)];
    const Tensor x = leaf(rows(numbers(kRows * kDim, 1), kDim, begin, count, device),
                          [&](Tensor g) { mine.dx = g.values(); });
    const Tensor a = rows(numbers(kHidden * kDim, 2), kDim, rank * part, part, device);
    const Tensor b = rows(numbers(kHidden * kDim, 3), kDim, rank * part, part, device);
    const TensorRegion region(mesh);
    const Tensor inside = region.enter(x, "test enter");
    const Tensor y = region.leave(matmul(matmul(inside, a, false, true), b), "test leave");
    if (tp == 1) {
      EXPECT_EQ(inside.view().data, x.view().data);
    }
    mine.y = y.values();
    const Tensor seed = rows(numbers(kRows * kDim, 4), kDim, begin, count, device);
    backward(std::span(&y, 1), std::span(&seed, 1));
    if (tp > 1 || !sp) return;
    EXPECT_TRUE(mesh.group(Axis::tp).traffic().empty());
  });
  return out;
}

TEST(Region, GivesOneRanksResultWithAndWithoutSequenceParallelism) {
  const Result one = run(1, true)[0];
  for (const int tp : {2, 4}) {
    for (const Result& all : run(tp, false)) {
      EXPECT_EQ(all.y, one.y);
      EXPECT_EQ(all.dx, one.dx);
    }
    Result joined;
    for (const Result& part : run(tp, true)) {
      joined.y.insert(joined.y.end(), part.y.begin(), part.y.end());
      joined.dx.insert(joined.dx.end(), part.dx.begin(), part.dx.end());
    }
    EXPECT_EQ(joined.y, one.y);
    EXPECT_EQ(joined.dx, one.dx);
  }
}

}  // namespace
}  // namespace troupe
