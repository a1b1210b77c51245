#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/base/error.h"
#include "core/base/random.h"
#include "moe/routers/parts/draws.h"
#include "moe/routers/parts/pair_ops.h"
#include "moe/routers/parts/select.h"
#include "moe/routers/parts/selection_bias.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/moe/support.h"

namespace troupe {
namespace {

using testing::expect_gradients;
using testing::random_tensor;
using testing::test_device;
using testing::whole_batch;

// Distinct, in range, falling, ties to the lowest index: also with equal scores, infinities and
// NaN.
TEST(TopK, ChoosesDistinctExpertsWhateverTheScores) {
  const double odd[] = {0.0, 0.0, 1.0, -std::numeric_limits<double>::infinity(),
                        std::numeric_limits<double>::quiet_NaN()};
  for (uint64_t key = 0; key < 500; ++key) {
    const Random random(key, "scores");
    std::vector<double> scores(1 + random.below(0, 9));
    for (size_t i = 0; i < scores.size(); ++i) scores[i] = odd[random.below(i + 1, 5)];
    const auto n = static_cast<int64_t>(scores.size());
    const auto k = static_cast<int64_t>(random.below(99, scores.size() + 1));
    const Tensor row = Tensor::from(scores, {1, n}, DType::f64, test_device());
    const std::vector<int32_t> chosen = top_k(row, {}, k);
    ASSERT_EQ(static_cast<int64_t>(chosen.size()), k);
    std::set<int32_t> distinct(chosen.begin(), chosen.end());
    EXPECT_EQ(distinct.size(), chosen.size());
    for (size_t i = 0; i < chosen.size(); ++i) {
      ASSERT_GE(chosen[i], 0);
      ASSERT_LT(chosen[i], static_cast<int32_t>(scores.size()));
      if (i == 0) continue;
      auto value = [&](size_t place) {  // NaN counts as minus infinity
        const double score = scores[static_cast<size_t>(chosen[place])];
        return std::isnan(score) ? odd[3] : score;
      };
      const double before = value(i - 1);
      const double here = value(i);
      EXPECT_LE(here, before);
      if (here == before) {
        EXPECT_LT(chosen[i - 1], chosen[i]);
      }
    }
  }
}

const std::vector<int64_t> kBegin{0, 2, 2, 3, 6};
const std::vector<int32_t> kExpert{1, 0, 2, 2, 0, 1};

TEST(PairOps, Gradients) {
  expect_gradients([](auto in) { return take_pairs(in[0], kBegin, kExpert); },
                   {random_tensor({4, 3}, 1)});
  expect_gradients([](auto in) { return normalise_pairs(in[0], kBegin); },
                   {random_tensor({6}, 2, 0.2, 1.0)});
  expect_gradients([](auto in) { return softmax_pairs(in[0], kBegin); }, {random_tensor({6}, 3)});
  expect_gradients(
      [](auto in) {
        return take_elements(in[0], std::vector<int32_t>{3, 0, 4});
      },
      {random_tensor({6}, 4)});
  for (const int64_t k : {1, 2, 3}) {
    expect_gradients(
        [k](auto in) { return smooth_load(in[0], in[1], in[2], k); },
        {random_tensor({3, 5}, 5), random_tensor({3, 5}, 6), random_tensor({3, 5}, 7, 0.1, 1.0)});
  }
}

TEST(PairOps, Values) {
  const Tensor w =
      Tensor::from(std::vector<double>{1, 3, 5, 2, 2, 4}, Shape{6}, DType::f64, test_device());
  EXPECT_EQ(normalise_pairs(w, kBegin).values(),
            (std::vector<double>{0.25, 0.75, 1, 0.25, 0.25, 0.5}));
  const std::vector<double> p = softmax_pairs(w, kBegin).values();
  EXPECT_NEAR(p[0] + p[1], 1.0, 1e-15);
  EXPECT_NEAR(p[1] / p[0], std::exp(2.0), 1e-12);
  const Tensor zero = Tensor::zeros(Shape{6}, DType::f32, test_device());
  EXPECT_EQ(normalise_pairs(zero, kBegin).values(), std::vector<double>(6, 0.0));
}

// The smooth load is the chance that the expert is chosen when its own noise is drawn again.
TEST(PairOps, SmoothLoadIsTheChanceOfBeingChosen) {
  const Tensor clean = random_tensor({1, 4}, 8);
  const Tensor noisy = random_tensor({1, 4}, 9);
  const Tensor width = random_tensor({1, 4}, 10, 0.1, 0.7);
  const std::vector<double> load = smooth_load(clean, noisy, width, 2).values();
  const Random random(3, "draws");
  for (size_t e = 0; e < 4; ++e) {
    std::vector<double> scores = noisy.values();
    int chosen = 0;
    constexpr int kDraws = 20000;
    for (uint64_t draw = 0; draw < kDraws; ++draw) {
      scores[e] = clean.values()[e] + width.values()[e] * random.normal(draw, e);
      const std::vector<int32_t> best =
          top_k(Tensor::from(scores, {1, 4}, DType::f64, test_device()), {}, 2);
      chosen += best[0] == static_cast<int32_t>(e) || best[1] == static_cast<int32_t>(e);
    }
    EXPECT_NEAR(load[e], static_cast<double>(chosen) / kDraws, 0.02);
  }
}

// Draws belong to the global position: a part of the batch gets the same ones.
TEST(Draws, BelongToTheGlobalPosition) {
  const TokenContext batch = whole_batch(6, 3);
  const TokenContext part = testing::part_of(batch, 2, 3);
  const auto factors = [](const TokenContext& context, std::span<const int32_t> held) {
    const auto rows = held.empty() ? context.tokens() : static_cast<int64_t>(held.size());
    const RouterInput input{Tensor::zeros({rows, 5}, DType::f64, test_device()),
                            context,
                            nullptr,
                            {},
                            held,
                            {},
                            {},
                            {}};
    return jitter_factors(input, "l", 5, 0.1, DType::f64, test_device());
  };
  const auto whole = factors(batch, {});
  EXPECT_EQ(testing::rows_of(whole, 6, 15).values(), factors(part, {}).values());
  const std::vector<int32_t> held = {6, 7, 8, 9, 10, 11, 12, 13, 14};
  EXPECT_EQ(testing::rows_of(whole, 6, 15).values(), factors(batch, held).values());
  const auto noise = normal_noise(batch, "l", 5, DType::f64, test_device());
  EXPECT_EQ(testing::rows_of(noise, 6, 15).values(),
            normal_noise(part, "l", 5, DType::f64, test_device()).values());
  EXPECT_NE(noise.values(), normal_noise(batch, "m", 5, DType::f64, test_device()).values());
  for (const double factor : whole.values()) {
    EXPECT_GE(factor, 0.9);
    EXPECT_LT(factor, 1.1);
  }
  const std::vector<double> values = whole.values();
  EXPECT_LT(*std::min_element(values.begin(), values.end()), 0.93);
  EXPECT_GT(*std::max_element(values.begin(), values.end()), 1.07);
}

TEST(SelectionBias, MovesAgainstTheLoadByExactlyItsRate) {
  SelectionBias bias(0.25, 4, "l", DType::f32, test_device());
  bias.move(std::vector<int64_t>{8, 0, 4, 4});
  EXPECT_EQ(bias.tensor().values(), (std::vector<double>{-0.25, 0.25, 0.0, 0.0}));  // 0 on a tie
  bias.move(std::vector<int64_t>{0, 0, 0, 0});
  bias.move(std::vector<int64_t>{7, 7, 7, 7});
  EXPECT_EQ(bias.tensor().values(), (std::vector<double>{-0.25, 0.25, 0.0, 0.0}));
  bias.move(std::vector<int64_t>{1, 0, 0, 0});  // mean 1/4: an integer mean would see no difference
  EXPECT_EQ(bias.tensor().values(), (std::vector<double>{-0.5, 0.5, 0.25, 0.25}));
  State state;
  bias.state(state);
  ASSERT_EQ(state.tensors.size(), 1U);
  EXPECT_EQ(state.tensors[0].name, "router/l.bias");
  EXPECT_EQ(state.tensors[0].tensor.values(), bias.tensor().values());
}

TEST(SelectionBias, OffByDefault) {
  SelectionBias bias(0.0, 2, "l", DType::f32, test_device());
  bias.move(std::vector<int64_t>{8, 0});
  EXPECT_EQ(bias.tensor().values(), (std::vector<double>{0, 0}));
  State state;
  bias.state(state);
  EXPECT_TRUE(state.tensors.empty());
}

}  // namespace
}  // namespace troupe
