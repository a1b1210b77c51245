// A vocabulary held in parts: loss and gradients are those of the whole.
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/tape.h"
#include "core/base/random.h"
#include "core/ops/embedding.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/tensor/host_memory.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/core/ops/parameters.h"

namespace troupe::testing {
namespace {

constexpr int64_t kDim = 64;

// Words [begin, end) of the table that random_parameter would make.
std::unique_ptr<Parameter> part_of(int64_t vocabulary, int64_t begin, int64_t end, DType type) {
  LocalSlice slice;
  slice.shape = {end - begin, kDim};
  if (end > begin) slice.parts.push_back({Box{{begin, 0}, {end - begin, kDim}}, {0, 0}});
  auto out = std::make_unique<Parameter>(
      "w", Layout::replicated({vocabulary, kDim}, MeshKind::attention, {}), slice, type,
      Init{Init::Kind::normal, 0.5}, true, test_device());
  out->initialize(7);
  return out;
}

Tensor targets_for(int64_t tokens, int64_t vocabulary) {
  const Random random(5, "targets");
  std::vector<int32_t> out;
  for (int64_t t = 0; t < tokens; ++t) {
    const auto id = random.below(static_cast<uint64_t>(t), static_cast<uint64_t>(vocabulary));
    out.push_back(t % 7 == 3 ? -1 : static_cast<int32_t>(id));
  }
  return Tensor::from(out, {tokens}, test_device());
}

struct Known {
  std::vector<double> logsumexp;
  std::vector<double> wanted;
};

// What the holders of all parts agree on.
Known join(const std::vector<Known>& parts) {
  Known out = parts.front();
  for (size_t t = 0; t < out.wanted.size(); ++t) {
    double sum = 0;
    out.wanted[t] = 0;
    for (const Known& part : parts) {
      sum += std::exp(part.logsumexp[t]);
      out.wanted[t] += part.wanted[t];
    }
    out.logsumexp[t] = std::log(sum);
  }
  return out;
}

void check_loss(const std::vector<int64_t>& cuts, int64_t tokens) {
  const int64_t vocabulary = cuts.back();
  const Tensor x = random_tensor({tokens, kDim}, 1);
  const Tensor targets = targets_for(tokens, vocabulary);
  const double scale = 1.0 / static_cast<double>(tokens);
  const auto whole = random_parameter({vocabulary, kDim}, 7, DType::f64, test_device(), 0.5);
  Tensor whole_dx;
  const Tensor whole_loss =
      linear_cross_entropy(leaf(x, [&](Tensor g) { whole_dx = g; }), *whole, targets, scale);
  backward(whole_loss);

  std::vector<std::unique_ptr<Parameter>> heads;
  std::vector<Known> parts;
  for (size_t p = 0; p + 1 < cuts.size(); ++p) {
    heads.push_back(part_of(vocabulary, cuts[p], cuts[p + 1], DType::f64));
    token_nll(x, *heads.back(), targets, [&](const Tensor& logsumexp, const Tensor& wanted) {
      parts.push_back({logsumexp.values(), wanted.values()});
    });
  }
  const Known joined = join(parts);
  std::vector<double> dx(static_cast<size_t>(x.elements()), 0.0);
  for (size_t p = 0; p < heads.size(); ++p) {
    Tensor part_dx;
    const Tensor loss = linear_cross_entropy(
        leaf(x, [&](Tensor g) { part_dx = g; }), *heads[p], targets, scale, {},
        [&](const Tensor& logsumexp, const Tensor& wanted) {
          std::copy(joined.logsumexp.begin(), joined.logsumexp.end(),
                    host_output<double>(logsumexp).data());
          std::copy(joined.wanted.begin(), joined.wanted.end(), host_output<double>(wanted).data());
        });
    EXPECT_NEAR(loss.item(), whole_loss.item(), 1e-12);
    backward(loss);
    const std::vector<double> share = part_dx.values();
    for (size_t i = 0; i < dx.size(); ++i) dx[i] += share[i];
    const std::vector<double> all = whole->gradient().values();
    const std::vector<double> mine = heads[p]->gradient().values();
    for (size_t i = 0; i < mine.size(); ++i)
      ASSERT_NEAR(mine[i], all[static_cast<size_t>(cuts[p] * kDim) + i], 1e-13) << "part " << p;
  }
  const std::vector<double> expected = whole_dx.values();
  for (size_t i = 0; i < dx.size(); ++i) ASSERT_NEAR(dx[i], expected[i], 1e-13);
}

TEST(VocabularyParts, LossAndGradientsAreThoseOfTheWhole) {
  check_loss({0, 11, 21, 31}, 9);
  check_loss({0, 700, 1400}, 130);
  check_loss({0, 1, 2, 2}, 5);  // a part without words
}

TEST(VocabularyParts, EmbeddingsOfThePartsSumToTheWhole) {
  const int64_t vocabulary = 7;
  const std::vector<int64_t> cuts = {0, 3, 5, 7, 7};
  const auto whole = random_parameter({vocabulary, kDim}, 7, DType::f64, test_device(), 0.5);
  const Tensor ids = Tensor::from(std::vector<int32_t>{6, 0, 3, 3, 2, 4}, {6}, test_device());
  const Tensor gradient = random_tensor({6, kDim}, 3);
  const Tensor out = embedding(*whole, ids);
  backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&gradient, 1));
  std::vector<double> sum(static_cast<size_t>(out.elements()), 0.0);
  for (size_t p = 0; p + 1 < cuts.size(); ++p) {
    const auto part = part_of(vocabulary, cuts[p], cuts[p + 1], DType::f64);
    const Tensor rows = embedding(*part, ids);
    const std::vector<double> values = rows.values();
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
    backward(std::span<const Tensor>(&rows, 1), std::span<const Tensor>(&gradient, 1));
    const std::vector<double> all = whole->gradient().values();
    const std::vector<double> mine = part->gradient().values();
    for (size_t i = 0; i < mine.size(); ++i)
      ASSERT_EQ(mine[i], all[static_cast<size_t>(cuts[p] * kDim) + i]);
  }
  EXPECT_EQ(sum, out.values());
}

}  // namespace
}  // namespace troupe::testing
