#include "core/ops/rows.h"

#include <gtest/gtest.h>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/ops/embedding.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "tests/core/ops/gradient_check.h"

namespace troupe::testing {
namespace {

Tensor ids(const std::vector<int32_t>& values,
           const std::shared_ptr<Device>& device = test_device()) {
  return Tensor::from(std::span<const int32_t>(values), {static_cast<int64_t>(values.size())},
                      device);
}

TEST(GatherRows, Gradients) {
  const Tensor x = random_tensor({4, 3}, 1);
  for (const auto& rows : std::vector<std::vector<int32_t>>{
           {2}, {0, 1, 2, 3}, {3, -1, 3, 0, 3}, {1, 1, 1, 1, 1, 1, 1}}) {
    expect_gradients([&](auto in) { return gather_rows(in[0], ids(rows)); }, {x});
  }
  expect_correct([&](auto in) { return gather_rows(in[0], ids({})); }, {x});
  expect_correct(
      [&](auto in) {
        return gather_rows(in[0], ids({-1, -1}));
      },
      {random_tensor({0, 3}, 1)});
  expect_correct(
      [&](auto in) {
        return gather_rows(through_transpose(in[0]), ids({2, 0, 2}));
      },
      {x});
  EXPECT_THROW(gather_rows(x, ids({4})), Error);
}

TEST(ScatterAddRows, Gradients) {
  const Tensor x = random_tensor({5, 3}, 1);
  for (const auto& rows : std::vector<std::vector<int32_t>>{{0, 1, 2, 3, 4}, {3, -1, 3, 0, 3}}) {
    expect_gradients([&](auto in) { return scatter_add_rows(in[0], ids(rows), 6); }, {x});
  }
  expect_correct([&](auto in) { return scatter_add_rows(in[0], ids({}), 2); },
                 {random_tensor({0, 3}, 1)});
  expect_correct(
      [&](auto in) {
        return scatter_add_rows(through_cut(in[0]), ids({1, 1, 0, 0, 1}), 2);
      },
      {x});
}

TEST(CombineRows, GradientsWithAndWithoutWeights) {
  const RowLists lists{ids({0, 2, 2, 5, 6}), ids({4, 0, 0, 2, 1, 2})};  // row 3 in no list
  const Tensor x = random_tensor({5, 3}, 1);
  const Tensor w = random_tensor({6}, 2);
  expect_gradients([&](auto in) { return combine_rows(in[0], lists); }, {x});
  expect_gradients([&](auto in) { return combine_rows(in[0], lists, in[1]); }, {x, w});
  expect_correct([&](auto in) { return combine_rows(through_expand(in[0], 5), lists, in[1]); },
                 {random_tensor({1, 3}, 1), w});
  const RowLists none{ids({0, 0}), ids({})};
  expect_correct([&](auto in) { return combine_rows(in[0], none, in[1]); },
                 {random_tensor({0, 3}, 1), random_tensor({0}, 2)});
}

TEST(CombineRows, SumsInTheOrderOfTheList) {
  // 1e8 + 1 - 1e8 in f32 depends on the order.
  const std::vector<double> values = {1e8, 1.0, -1e8};
  const Tensor x = Tensor::from(values, {3, 1}, DType::f32, test_device());
  EXPECT_EQ(combine_rows(x, {ids({0, 3}), ids({0, 1, 2})}).item(), 0.0);
  EXPECT_EQ(combine_rows(x, {ids({0, 3}), ids({0, 2, 1})}).item(), 1.0);
}

TEST(CombineRows, Bf16IsSummedInF32AndRoundedOnce) {
  const RowLists lists{ids({0, 3, 3, 4}), ids({0, 1, 2, 1})};
  const Tensor x = cast(random_tensor({3, 37}, 1), DType::bf16);
  const Tensor w = cast(random_tensor({4}, 2), DType::f32);
  const Tensor wide = cast(x, DType::f32);
  EXPECT_EQ(combine_rows(x, lists).values(), cast(combine_rows(wide, lists), DType::bf16).values());
  EXPECT_EQ(combine_rows(x, lists, w).values(),
            cast(combine_rows(wide, lists, w), DType::bf16).values());
}

TEST(TakeAlongRows, Gradients) {
  const Tensor x = random_tensor({3, 5}, 1);
  const Tensor index = reshape(ids({4, 0, 2, 2, 1, 3}), {3, 2});
  expect_gradients([&](auto in) { return take_along_rows(in[0], index); }, {x});
  expect_correct([&](auto in) { return take_along_rows(through_transpose(in[0]), index); },
                 {random_tensor({5, 3}, 1)});
  for (const auto& [dtype, tolerance] :
       {std::pair(DType::f32, 1e-6), std::pair(DType::bf16, 8e-3)}) {
    EXPECT_LE(
        relative_difference(take_along_rows(x, index), take_along_rows(cast(x, dtype), index)),
        tolerance);
  }
}

TEST(Embedding, Gradients) {
  for (const auto& list : std::vector<std::vector<int32_t>>{{2}, {0, 5, 5, 1, 5}}) {
    const auto table = random_parameter({6, 3}, 1);
    expect_parameter_gradients([&] { return embedding(*table, ids(list)); }, {table.get()});
  }
  const auto table = random_parameter({6, 3}, 1);
  EXPECT_LE(parameter_gradient_error([&] { return embedding(*table, ids({})); }, {table.get()}), 0);
  const Tensor matrix = reshape(ids({0, 5, 5, 1}), {2, 2});
  EXPECT_EQ(embedding(*table, matrix).shape(), Shape({2, 2, 3}));
}

TEST(Embedding, AddsToAnEarlierGradientAndKeepsTheComputeType) {
  const auto table = random_parameter({4, 3}, 1, DType::bf16);
  const auto pass = [&](const std::vector<int32_t>& list) {
    const Tensor out = embedding(*table, ids(list));
    EXPECT_EQ(out.dtype(), DType::bf16);
    backward(sum(out));
  };
  pass({0, 0, 2});
  pass({3, 0});
  EXPECT_EQ(table->gradient().values(), (std::vector<double>{3, 3, 3, 0, 0, 0, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(table->gradient().dtype(), DType::f32);
}

TEST(Embedding, NamesAnIdOutsideTheVocabulary) {
  const auto table = random_parameter({4, 3}, 1);
  try {
    embedding(*table, ids({1, 4}));
    FAIL() << "id 4 of 4 was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_NE(std::string(error.what()).find("token id 4 at position 1"), std::string::npos);
  }
}

}  // namespace
}  // namespace troupe::testing
