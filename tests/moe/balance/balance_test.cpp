#include "moe/balance/balance.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "core/ops/softmax.h"
#include "moe/routers/table.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/moe/support.h"

namespace troupe {
namespace {

using testing::pad;
using testing::part_of;
using testing::random_tensor;
using testing::rows_of;
using testing::test_device;
using testing::whole_batch;

constexpr BalanceScope kScopes[] = {BalanceScope::sequence, BalanceScope::microbatch,
                                    BalanceScope::global_batch};

// A routing of given logits: token t goes to experts t, t + 1, ... (mod E).
Routing round_robin(const Tensor& logits, int64_t k) {
  const int64_t experts = logits.dim(1);
  Routing out;
  out.sparse() = empty_assignment(experts);
  for (int64_t t = 0; t < logits.dim(0); ++t) {
    std::vector<int32_t> chosen;
    for (int64_t j = 0; j < k; ++j) chosen.push_back(static_cast<int32_t>((t * k + j) % experts));
    out.sparse().append(chosen);
  }
  out.logits_TE = logits;
  out.probabilities_TE = softmax(logits);
  return out;
}

double value(const BalanceTerm& term, const Routing& routing, const TokenContext& context,
             int64_t k, const BatchLoad& previous = {}) {
  return balance_losses(std::span(&term, 1),
                        {routing, routing.sparse(), context, previous, k, false})[0]
      .value.item();
}

// Uniform routing gives exactly the coefficient, for any number of choices.
TEST(BalanceTerms, SwitchOfUniformRoutingIsOne) {
  const TokenContext batch = whole_batch(2, 24);
  const Tensor logits = Tensor::full(Shape{48, 12}, DType::f64, 0.7, test_device());
  for (const BalanceScope scope : kScopes) {
    for (const int64_t k : {1, 2, 3, 4, 6}) {
      EXPECT_NEAR(value({"switch", 0.5, scope}, round_robin(logits, k), batch, k), 0.5, 1e-14);
    }
  }
  Routing skewed = round_robin(logits, 1);
  std::fill(skewed.sparse().expert.begin(), skewed.sparse().expert.end(), 0);
  EXPECT_NEAR(value({"switch", 1.0, BalanceScope::sequence}, skewed, batch, 1), 1.0, 1e-14);
  for (int64_t t = 0; t < 48; ++t) skewed.probabilities_TE.data<double>()[t * 12] = 1.0;
  EXPECT_NEAR(value({"switch", 1.0, BalanceScope::sequence}, skewed, batch, 1), 12.0, 1e-12);
}

// Constant logits c with E experts: (c + ln E)^2.
TEST(BalanceTerms, ZOfConstantLogits) {
  TokenContext batch = whole_batch(3, 4);
  const Tensor logits = Tensor::full(Shape{12, 5}, DType::f64, 1.3, test_device());
  const double wanted = 0.001 * std::pow(1.3 + std::log(5.0), 2);
  for (const BalanceScope scope : kScopes)
    EXPECT_NEAR(value({"z", 0.001, scope}, round_robin(logits, 1), batch, 1), wanted, 1e-15);
  pad(batch, {3, 4, 5});
  for (const BalanceScope scope : kScopes)
    EXPECT_NEAR(value({"z", 0.001, scope}, round_robin(logits, 1), batch, 1), wanted, 1e-15);
}

TEST(BalanceTerms, ImportanceAndLoadAreSquaredVariation) {
  const TokenContext batch = whole_batch(1, 2);
  Routing routing = round_robin(Tensor::zeros(Shape{2, 2}, DType::f64, test_device()), 1);
  const std::vector<double> p{0.9, 0.1, 0.7, 0.3};
  routing.probabilities_TE = Tensor::from(p, Shape{2, 2}, DType::f64, test_device());
  routing.load_TE = routing.probabilities_TE;
  // Sums 1.6 and 0.4: mean 1, variance 0.36.
  EXPECT_NEAR(value({"importance", 1.0, BalanceScope::sequence}, routing, batch, 1), 0.36, 1e-14);
  EXPECT_NEAR(value({"load", 1.0, BalanceScope::sequence}, routing, batch, 1), 0.36, 1e-14);
  BatchLoad previous;
  previous.probability = {0.8, 0.2};
  previous.load = {0.8, 0.2};
  for (const char* term : {"importance", "load"})
    EXPECT_NEAR(value({term, 1.0, BalanceScope::global_batch}, routing, batch, 1, previous), 0.36,
                1e-14);
  // Loads of two choices sum to 2 a token; the term is the same.
  const std::vector<double> twice{1.8, 0.2, 1.4, 0.6};
  routing.load_TE = Tensor::from(twice, Shape{2, 2}, DType::f64, test_device());
  for (const BalanceScope scope : {BalanceScope::sequence, BalanceScope::global_batch})
    EXPECT_NEAR(value({"load", 1.0, scope}, routing, batch, 2, previous), 0.36, 1e-14);
}

// Rank- and micro-batch parts add up to the whole, with unequal padding.
TEST(BalanceTerms, PartsAddUpToTheWhole) {
  TokenContext batch = whole_batch(6, 5);
  pad(batch, {4, 8, 9, 10, 11, 12, 13, 14, 29});  // sample 2 is padding only
  const Tensor logits = random_tensor({30, 4}, 1);
  const Tensor load = softmax(random_tensor({30, 4}, 2));
  BatchLoad previous;
  previous.fraction = {0.5, 0.25, 0.25, 0.0};
  previous.probability = {0.4, 0.3, 0.2, 0.1};
  previous.load = {0.1, 0.1, 0.1, 0.7};
  auto routed = [&](int64_t begin, int64_t end, const TokenContext& context) {
    Routing out = round_robin(rows_of(logits, begin, end), 2);
    out.load_TE = rows_of(load, begin, end);
    SparseAssignment valid = empty_assignment(4);
    for (int64_t t = begin; t < end; ++t) {
      const std::vector<int32_t> chosen{static_cast<int32_t>(t % 3), 3};
      valid.append(context.is_valid(t - begin) ? std::span<const int32_t>(chosen)
                                               : std::span<const int32_t>());
    }
    out.sparse() = valid;
    return out;
  };
  for (const char* type : {"switch", "z", "importance", "load"}) {
    for (const BalanceScope scope : kScopes) {
      batch.micro_batch = 2;
      const BalanceTerm term{type, 0.3, scope};
      const double whole = value(term, routed(0, 30, batch), batch, 2, previous);
      for (const int64_t size : {1, 2, 3}) {
        if (scope == BalanceScope::microbatch && size != 2) continue;
        double sum = 0.0;
        for (int64_t first = 0; first < 6; first += size) {
          const TokenContext part = part_of(batch, first, size);
          sum += value(term, routed(first * 5, (first + size) * 5, part), part, 2, previous);
        }
        EXPECT_NEAR(sum, whole, 1e-14) << type << " parts of " << size;
      }
    }
  }
}

// Two micro-batches skewed in opposite ways: the whole batch is balanced, each of them is not.
TEST(BalanceTerms, TheGlobalScopeSeesTheWholeBatch) {
  TokenContext batch = whole_batch(2, 4);
  batch.micro_batch = 1;
  auto skewed = [&](int32_t expert) {
    Routing out = round_robin(Tensor::zeros(Shape{4, 2}, DType::f64, test_device()), 1);
    std::fill(out.sparse().expert.begin(), out.sparse().expert.end(), expert);
    for (int64_t t = 0; t < 4; ++t) {
      out.probabilities_TE.data<double>()[t * 2 + expert] = 1.0;
      out.probabilities_TE.data<double>()[t * 2 + 1 - expert] = 0.0;
    }
    return out;
  };
  BatchLoad previous;
  previous.fraction = {0.5, 0.5};  // what the two gave together in the step before
  double global = 0.0;
  double local = 0.0;
  for (const int32_t m : {0, 1}) {
    const TokenContext part = part_of(batch, m, 1);
    global += value({"switch", 1.0, BalanceScope::global_batch}, skewed(m), part, 1, previous);
    local += value({"switch", 1.0, BalanceScope::microbatch}, skewed(m), part, 1);
  }
  EXPECT_NEAR(global, 1.0, 1e-14);
  EXPECT_NEAR(local, 2.0, 1e-14);
}

// The gradient of each term in each scope, through softmax for those that read probabilities; every
// spoilt gradient is noticed.
TEST(BalanceTerms, Gradients) {
  TokenContext batch = whole_batch(2, 3);
  batch.micro_batch = 1;
  pad(batch, {5});
  BatchLoad previous;
  previous.fraction = {0.5, 0.25, 0.25, 0.0};
  previous.probability = {0.4, 0.3, 0.2, 0.1};
  previous.load = {0.1, 0.1, 0.1, 0.7};
  for (const char* type : {"switch", "z", "importance", "load"}) {
    for (const BalanceScope scope : kScopes) {
      const BalanceTerm term{type, 3.0, scope};
      auto loss = [&](const Tensor& logits, const Tensor& probabilities) {
        Routing routing = round_robin(logits, 2);
        routing.sparse().expert = {0, 1, 0, 2, 0, 3, 1, 2, 1, 0};
        routing.sparse().kept.assign(10, 1);
        routing.sparse().token_begin = {0, 2, 4, 6, 8, 10, 10};
        routing.probabilities_TE = probabilities;
        routing.load_TE = probabilities;
        return balance_losses(std::span(&term, 1),
                              {routing, routing.sparse(), batch, previous, 2, false})[0]
            .value;
      };
      const Tensor some = softmax(random_tensor({6, 4}, 3));
      if (std::string(type) == "z") {
        testing::expect_correct([&](auto in) { return loss(in[0], some); },
                                {random_tensor({6, 4}, 4)});
      } else {
        testing::expect_gradients([&](auto in) { return loss(some, in[0]); }, {some});
      }
    }
  }
}

TEST(BalanceTerms, TermsWithoutGradientAreNamed) {
  auto problem = [](const char* term, const char* router, const char* noise = nullptr) {
    Options options(find_router(router)->fields);
    if (noise != nullptr) options.set("noise", std::string(noise));
    return balance_problem({term, 0.1, BalanceScope::sequence}, router, options);
  };
  for (const char* term : {"switch", "z", "importance", "load"}) {
    EXPECT_NE(problem(term, "hash"), "");
    EXPECT_EQ(problem(term, "expert_choice").empty(), std::string(term) == "z");
    EXPECT_EQ(problem(term, "topk").empty(), std::string(term) != "load");
    EXPECT_EQ(problem(term, "topk", "learned"), "");
  }
}

}  // namespace
}  // namespace troupe
