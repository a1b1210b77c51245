#include "parallel/collectives/collectives.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/autograd/tape.h"
#include "core/base/random.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe {
namespace {

Tensor draw(const std::string& what, int rank, const Shape& shape,
            const std::shared_ptr<Device>& device) {
  const Random random(11, what, std::to_string(rank));
  std::vector<double> values;
  for (int64_t i = 0; i < shape.elements(); ++i) values.push_back(random.normal(i));
  return Tensor::from(values, shape, DType::f64, device);
}

double dot(const Tensor& a, const Tensor& b) {
  const auto x = a.values();
  const auto y = b.values();
  return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
}

double total(double value, Communicator& world) {
  world.all_reduce_sum({&value, DType::f64, {1}, {1}, DeviceKind::cpu}, "total").finish();
  return value;
}

using Collective = std::function<Tensor(const Tensor&, Communicator&)>;

// The op f maps all ranks' inputs to all ranks' outputs, linearly: its gradient is its transpose,
// sum <f(x), y> = sum <x, f'(y)> over all ranks, for any x and y. Also through a strided gradient.
void check_transpose(int ranks, const std::function<Shape(int rank)>& shape, const Collective& f) {
  run_ranks(ranks, [&](int rank, const auto& world) {
    const auto device = Device::cpu();
    const Tensor x = draw("x", rank, shape(rank), device);
    Tensor dx;
    const Tensor out = f(leaf(x, [&](Tensor gradient) { dx = gradient; }), *world);
    const Tensor y = draw("y", rank, out.shape(), device);
    // The seed as a strided view of memory twice as large.
    Shape wide = y.shape();
    wide[0] *= 2;
    const Tensor memory = Tensor::zeros(wide, DType::f64, device);
    Shape strides = contiguous_strides(y.shape());
    strides[0] *= 2;
    const Tensor seed = memory.strided(y.shape(), strides, 0);
    const int64_t row = y.dim(0) > 0 ? y.elements() / y.dim(0) : 0;
    for (int64_t i = 0; i < y.elements(); ++i) {
      memory.data<double>()[i / row * 2 * row + i % row] = y.data<double>()[i];
    }
    const Tensor roots[] = {out};
    const Tensor seeds[] = {seed};
    backward(roots, seeds);
    ASSERT_TRUE(dx.defined());
    const double left = total(dot(out, y), *world);
    const double right = total(dot(x, dx), *world);
    EXPECT_NEAR(left, right, 1e-12 * (1 + std::abs(left)));
    EXPECT_NE(left, 0.0);
  });
}

std::vector<int64_t> rows_to(int rank, int ranks) {
  std::vector<int64_t> rows;
  for (int peer = 0; peer < ranks; ++peer) rows.push_back((rank * 2 + peer * 3) % 4);
  return rows;
}
std::vector<int64_t> rows_from(int rank, int ranks) {
  std::vector<int64_t> rows;
  for (int peer = 0; peer < ranks; ++peer) {
    rows.push_back(rows_to(peer, ranks)[static_cast<size_t>(rank)]);
  }
  return rows;
}

TEST(Collectives, AllToAllGradientGoesBack) {
  for (int ranks : {2, 3, 4}) {
    check_transpose(
        ranks,
        [&](int rank) {
          const auto rows = rows_to(rank, ranks);
          return Shape{std::accumulate(rows.begin(), rows.end(), int64_t{0}), 5};
        },
        [&](const Tensor& x, Communicator& world) {
          return all_to_all_rows(x, rows_to(world.rank(), ranks), rows_from(world.rank(), ranks),
                                 world, "rows");
        });
  }
}

TEST(Collectives, GatherAndScatterAreMirrors) {
  for (int ranks : {1, 2, 3}) {
    check_transpose(
        ranks,
        [](int) {
          return Shape{3, 2, 2};
        },
        [](const Tensor& x, Communicator& world) { return all_gather_rows(x, world, "g"); });
    check_transpose(
        ranks,
        [&](int) {
          return Shape{4 * ranks, 3};
        },
        [](const Tensor& x, Communicator& world) { return reduce_scatter_rows(x, world, "s"); });
  }
}

// A pair around work that is shared out: copy in, sum out. With loss = sum over ranks of w_r . x,
// each rank's gradient of x is the sum of all w_r.
TEST(Collectives, CopyInSumOutIsOneFunction) {
  run_ranks(3, [](int rank, const auto& world) {
    const auto device = Device::cpu();
    const Tensor x = draw("shared", 0, {4}, device);
    const Tensor w = draw("w", rank, {4}, device);
    Tensor dx;
    const Tensor shared = copy_to_group(leaf(x, [&](Tensor g) { dx = g; }), *world, "in");
    // y = w * x by hand: an op whose gradient is known.
    std::vector<double> product;
    for (size_t i = 0; i < 4; ++i) product.push_back(x.values()[i] * w.values()[i]);
    Tensor y =
        record(Operator("times", device->stream()), Tensor::from(product, {4}, DType::f64, device),
               {shared}, [w, device](const Tensor& dy, InputGradients& inputs) {
                 std::vector<double> out;
                 for (size_t i = 0; i < 4; ++i) {
                   out.push_back(dy.values()[i] * w.values()[i]);
                 }
                 inputs.add(0, Tensor::from(out, {4}, DType::f64, device));
               });
    const Tensor sum = sum_over_group(y, *world, "out");
    const Tensor ones = Tensor::full({4}, DType::f64, 1.0, device);
    const Tensor roots[] = {sum};
    const Tensor seeds[] = {ones};
    backward(roots, seeds);
    for (size_t i = 0; i < 4; ++i) {
      double w_sum = 0;
      for (int peer = 0; peer < 3; ++peer) w_sum += draw("w", peer, {4}, device).values()[i];
      EXPECT_NEAR(sum.values()[i], w_sum * x.values()[i], 1e-13);
      EXPECT_NEAR(dx.values()[i], w_sum, 1e-13);
    }
  });
}

TEST(Collectives, NothingIsRecordedWithoutAGradient) {
  const auto world = self_communicator();
  const auto device = Device::cpu();
  const Tensor x = draw("x", 0, {2, 2}, device);
  EXPECT_FALSE(all_gather_rows(x, *world, "g").needs_gradient());
  EXPECT_THROW(reduce_scatter_rows(x.strided({2, 2}, {1, 2}, 0), *world, "s"), Error);
}

}  // namespace
}  // namespace troupe
