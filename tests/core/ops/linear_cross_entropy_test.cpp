#include "core/ops/linear_cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "core/ops/linear.h"
#include "core/ops/view.h"
#include "core/tensor/host_memory.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/core/ops/parameters.h"
#include "tests/support/guarded_device.h"

namespace troupe::testing {
namespace {

Tensor targets_for(int64_t tokens, int64_t vocabulary,
                   const std::shared_ptr<Device>& device = test_device()) {
  const Random random(5, "targets");
  std::vector<int32_t> out;
  for (int64_t t = 0; t < tokens; ++t) {
    const auto id = random.below(static_cast<uint64_t>(t), static_cast<uint64_t>(vocabulary));
    out.push_back(t % 7 == 3 ? -1 : static_cast<int32_t>(id));
  }
  return Tensor::from(out, {tokens}, device);
}

// The definition, in f64, from whole logits.
std::vector<double> by_definition(const Tensor& logits, const Tensor& targets) {
  const std::vector<double> l = logits.values();
  const auto vocabulary = static_cast<size_t>(logits.dim(1));
  const std::vector<int64_t> ids = targets.integers();
  std::vector<double> out;
  for (size_t t = 0; t < static_cast<size_t>(logits.dim(0)); ++t) {
    double largest = -1e300;
    for (size_t v = 0; v < vocabulary; ++v) largest = std::max(largest, l[t * vocabulary + v]);
    double sum = 0;
    for (size_t v = 0; v < vocabulary; ++v) sum += std::exp(l[t * vocabulary + v] - largest);
    const auto target = static_cast<int32_t>(ids[t]);
    out.push_back(target < 0
                      ? 0.0
                      : std::log(sum) + largest - l[t * vocabulary + static_cast<size_t>(target)]);
  }
  return out;
}

TEST(LinearCrossEntropy, EqualsItsDefinitionInEveryType) {
  for (DType type : {DType::f64, DType::f32, DType::bf16}) {
    const double tolerance = type == DType::f64 ? 1e-12 : 2e-5;
    for (const auto& [tokens, vocabulary] :
         std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {5, 3}, {70, 1100}, {131, 1024}}) {
      const auto head = random_parameter({vocabulary, 64}, 7, type, test_device(), 0.5);
      const Tensor x = cast(random_tensor({tokens, 64}, 1), type);
      const Tensor targets = targets_for(tokens, vocabulary);
      const auto exact_head = random_parameter({vocabulary, 64}, 7, DType::f64, test_device(), 1);
      const std::vector<double> rounded = head->compute_value().values();
      std::copy(rounded.begin(), rounded.end(), host_output<double>(exact_head->value()).data());
      exact_head->value_changed();
      const std::vector<double> expected =
          by_definition(linear(cast(x, DType::f64), *exact_head), targets);
      const std::vector<double> nll = token_nll(x, *head, targets).values();
      double total = 0;
      for (size_t t = 0; t < nll.size(); ++t) {
        EXPECT_NEAR(nll[t], expected[t], tolerance * (1 + expected[t])) << name(type);
        total += expected[t];
      }
      const Tensor loss = linear_cross_entropy(x, *head, targets, 0.25);
      EXPECT_EQ(loss.dtype(), wide(type));
      const Tensor weight = cast(random_tensor({tokens}, 9), wide(type));
      const std::vector<double> w = weight.values();
      double weighted = 0;
      for (size_t t = 0; t < nll.size(); ++t) weighted += w[t] * expected[t];
      EXPECT_NEAR(linear_cross_entropy(x, *head, targets, 0.25, weight).item(), 0.25 * weighted,
                  tolerance * (1 + total));
      EXPECT_NEAR(loss.item(), 0.25 * total, tolerance * (1 + total));
      NoGrad no_grad;
      EXPECT_EQ(linear_cross_entropy(x, *head, targets, 0.25).item(), loss.item());
    }
  }
}

TEST(LinearCrossEntropy, Gradients) {
  for (const auto& [tokens, vocabulary] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {1, 2}, {5, 3}, {9, 17}}) {
    const auto head = random_parameter({vocabulary, 3}, 7, DType::f64, test_device());
    const Tensor x = random_tensor({tokens, 3}, 1);
    const Tensor targets = targets_for(tokens, vocabulary);
    const Tensor weight = random_tensor({tokens}, 4);
    const auto f = [&](auto in) {
      return linear_cross_entropy(in[0], *head, targets, 0.7, weight);
    };
    const auto g = [&] { return linear_cross_entropy(x, *head, targets, 0.7); };
    if (vocabulary == 1) {  // the loss is 0 whatever the logits
      expect_correct(f, {x});
      EXPECT_LE(parameter_gradient_error(g, {head.get()}), 1e-7);
    } else {
      expect_gradients(f, {x});
      expect_parameter_gradients(g, {head.get()});
    }
  }
  const auto head = random_parameter({4, 3}, 7, DType::f64, test_device());
  expect_correct(
      [&](auto in) {
        return linear_cross_entropy(through_transpose(in[0]), *head, targets_for(5, 4), 1);
      },
      {random_tensor({3, 5}, 1)});
}

TEST(LinearCrossEntropy, WithoutTokens) {
  const auto head = random_parameter({4, 3}, 7, DType::f64, test_device());
  const Tensor x = random_tensor({0, 3}, 1);
  const auto f = [&] { return linear_cross_entropy(x, *head, targets_for(0, 4), 1); };
  EXPECT_EQ(f().item(), 0);
  EXPECT_LE(parameter_gradient_error(f, {head.get()}), 0);
  EXPECT_EQ(token_nll(x, *head, targets_for(0, 4)).elements(), 0);
}

TEST(LinearCrossEntropy, RefusesTargetsBeyondTheVocabulary) {
  const auto head = random_parameter({4, 3}, 7, DType::f64, test_device());
  const std::vector<int32_t> wrong = {4};
  EXPECT_THROW(token_nll(random_tensor({1, 3}, 1), *head, Tensor::from(wrong, {1}, test_device())),
               Error);
}

TEST(LinearCrossEntropy, ExtremeLogits) {
  const auto head = random_parameter({3, 1}, 7, DType::f32, test_device());
  const std::vector<float> values = {1000, -1000, 999};
  std::copy(values.begin(), values.end(), host_output<float>(head->value()).data());
  head->value_changed();
  const std::vector<int32_t> ids = {0, 1, 2};
  const Tensor targets = Tensor::from(ids, {3}, test_device());
  const Tensor x = Tensor::full({3, 1}, DType::f32, 1, test_device());
  const std::vector<double> nll = token_nll(x, *head, targets).values();
  EXPECT_NEAR(nll[0], std::log1p(std::exp(-1)), 1e-4);
  EXPECT_NEAR(nll[1], 2000 + std::log1p(std::exp(-1)), 1e-3);
  EXPECT_NEAR(nll[2], 1 + std::log1p(std::exp(-1)), 1e-4);
}

struct Result {
  double loss = 0;
  Tensor dx;
  Tensor dhead;
};

Result run(int64_t tokens, int64_t vocabulary, int64_t dim, DType type,
           const std::shared_ptr<Device>& device) {
  Result out;
  const auto head = random_parameter({vocabulary, dim}, 7, type, device, 0.1);
  const Tensor x = cast(
      Tensor::from(random_tensor({tokens, dim}, 1).values(), {tokens, dim}, DType::f64, device),
      type);
  const Tensor loss = linear_cross_entropy(leaf(x, [&](Tensor g) { out.dx = std::move(g); }), *head,
                                           targets_for(tokens, vocabulary, device),
                                           1.0 / static_cast<double>(tokens));
  out.loss = loss.item();
  backward(loss);
  out.dhead = Tensor::from(head->gradient().values(), head->gradient().shape(), DType::f64, device);
  return out;
}

// Several chunks and vocabulary tiles with ragged ends.
TEST(LinearCrossEntropy, NarrowTypesAgreeWithF64) {
  for (int64_t vocabulary : {1344, 1350}) {
    const Result exact = run(1300, vocabulary, 64, DType::f64, test_device());
    for (DType type : {DType::f32, DType::bf16}) {
      const Result got = run(1300, vocabulary, 64, type, test_device());
      const double tolerance = type == DType::bf16 ? 2e-2 : 1e-5;
      EXPECT_NEAR(got.loss, exact.loss, tolerance);
      EXPECT_LE(relative_difference(exact.dx, got.dx), tolerance) << name(type);
      EXPECT_LE(relative_difference(exact.dhead, got.dhead), tolerance) << name(type);
    }
  }
}

TEST(LinearCrossEntropy, SameBitsWithOneTwoAndFourThreads) {
  for (DType type : {DType::f64, DType::f32, DType::bf16}) {
    const Result one = run(300, 640, 64, type, testing::chosen_device(1));
    for (int threads : {2, 4}) {
      const Result more = run(300, 640, 64, type, testing::chosen_device(threads));
      EXPECT_EQ(one.loss, more.loss);
      EXPECT_EQ(one.dx.values(), more.dx.values());
      EXPECT_EQ(one.dhead.values(), more.dhead.values());
    }
  }
}

}  // namespace
}  // namespace troupe::testing
