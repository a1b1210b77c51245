#include "core/ops/attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "core/ops/view.h"
#include "core/tensor/host_memory.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/support/guarded_device.h"

namespace troupe::testing {
namespace {

struct Case {
  int64_t batch, queries, heads, kv_heads, head_dim;
  int64_t window = 0;
  bool documents = false;
};

// Document ids that rise at random positions.
Tensor documents_for(const Case& c) {
  const Random random(5, "documents");
  std::vector<int32_t> ids;
  int32_t id = 0;
  for (int64_t i = 0; i < c.batch * c.queries; ++i) {
    if (random.below(static_cast<uint64_t>(i), 9) == 0) id += 1;
    ids.push_back(id);
  }
  return Tensor::from(std::span<const int32_t>(ids), {c.batch, c.queries}, test_device());
}

AttentionOptions options_for(const Case& c) {
  AttentionOptions options;
  options.window = c.window;
  if (c.documents) options.documents = documents_for(c);
  return options;
}

std::vector<Tensor> inputs_for(const Case& c, DType dtype = DType::f64) {
  return {random_tensor({c.batch, c.queries, c.heads, c.head_dim}, 1, 1, 0, dtype),
          random_tensor({c.batch, c.queries, c.kv_heads, c.head_dim}, 2, 1, 0, dtype),
          random_tensor({c.batch, c.queries, c.kv_heads, c.head_dim}, 3, 1, 0, dtype)};
}

struct Result {
  Tensor out, dq, dk, dv;
};

template <typename F>
Result run_with_gradients(F f, const std::vector<Tensor>& in) {
  Result r;
  const Tensor out = f(leaf(in[0], [&](Tensor g) { r.dq = std::move(g); }),
                       leaf(in[1], [&](Tensor g) { r.dk = std::move(g); }),
                       leaf(in[2], [&](Tensor g) { r.dv = std::move(g); }));
  r.out = out.detach();
  const Tensor seed = random_tensor(out.shape(), 4, 1, 0, out.dtype(), out.device());
  backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&seed, 1));
  return r;
}

Result fused(const Case& c, const std::vector<Tensor>& in) {
  return run_with_gradients([&](const Tensor& q, const Tensor& k,
                                const Tensor& v) { return attention(q, k, v, options_for(c)); },
                            in);
}

void expect_close(const Result& a, const Result& b, double tolerance) {
  EXPECT_LE(relative_difference(a.out, b.out), tolerance);
  EXPECT_LE(relative_difference(a.dq, b.dq), tolerance);
  EXPECT_LE(relative_difference(a.dk, b.dk), tolerance);
  EXPECT_LE(relative_difference(a.dv, b.dv), tolerance);
}

const std::vector<Case> kCases = {{1, 1, 1, 1, 1},
                                  {2, 7, 4, 2, 6},
                                  {1, 64, 2, 1, 16},
                                  {1, 65, 3, 3, 5},
                                  {2, 130, 4, 2, 33},
                                  {1, 200, 2, 2, 64, 50},
                                  {2, 150, 2, 1, 8, 3},
                                  {2, 150, 4, 2, 24, 0, true},
                                  {1, 200, 6, 2, 32, 37, true}};

TEST(Attention, GradientsOfSmallShapes) {
  for (const Case& c : std::vector<Case>{
           {1, 2, 1, 1, 1}, {2, 5, 4, 2, 3}, {1, 7, 2, 1, 2, 3}, {2, 6, 2, 2, 2, 0, true}}) {
    expect_gradients([&](auto in) { return attention(in[0], in[1], in[2], options_for(c)); },
                     inputs_for(c));
  }
  for (const Case& c : std::vector<Case>{{0, 3, 2, 1, 2}, {2, 0, 2, 1, 2}, {1, 1, 2, 1, 3}}) {
    expect_correct([&](auto in) { return attention(in[0], in[1], in[2], options_for(c)); },
                   inputs_for(c));
  }
}

TEST(Attention, GradientsOfViews) {
  // q | k | v as slices of one tensor, and broadcast over the batch.
  expect_correct(
      [](auto in) {
        return attention(narrow(in[0], 2, 0, 2), narrow(in[0], 2, 2, 1), narrow(in[0], 2, 3, 1));
      },
      {random_tensor({2, 5, 4, 3}, 1)});
  expect_correct(
      [](auto in) { return attention(through_transpose(in[0]), in[1], through_expand(in[1], 1)); },
      {random_tensor({1, 4, 3, 2}, 1), random_tensor({1, 4, 1, 3}, 2)});
  expect_correct([](auto in) { return attention(through_expand(in[0], 2), in[1], in[1]); },
                 {random_tensor({1, 4, 2, 3}, 1), random_tensor({2, 4, 1, 3}, 2)});
}

TEST(Attention, EqualsTheCompositeForm) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.queries);
    const std::vector<Tensor> in = inputs_for(c);
    const Result expected = run_with_gradients(
        [&](const Tensor& q, const Tensor& k, const Tensor& v) {
          return attention_composite(q, k, v, options_for(c));
        },
        in);
    expect_close(expected, fused(c, in), 1e-12);
  }
}

TEST(Attention, AWindowOfOneGivesTheValues) {
  const Case c{2, 150, 1, 1, 8, 1};
  const std::vector<Tensor> in = inputs_for(c);
  EXPECT_LE(relative_difference(in[2], attention(in[0], in[1], in[2], options_for(c))), 1e-14);
}

// The composite form has its mask from the same place: here each document stands alone.
TEST(Attention, ADocumentIsAttendedAsIfAlone) {
  const Case c{2, 150, 4, 2, 8, 5, true};
  for (int64_t window : {int64_t{0}, c.window}) {
    const std::vector<Tensor> in = inputs_for(c);
    AttentionOptions options = options_for(c);
    options.window = window;
    const Tensor whole = attention(in[0], in[1], in[2], options);
    const auto ids = host_copy<int32_t>(options.documents);
    for (int64_t b = 0; b < c.batch; ++b) {
      int64_t begin = 0;
      for (int64_t end = 1; end <= c.queries; ++end) {
        if (end < c.queries && ids[b * c.queries + end] == ids[b * c.queries + begin]) continue;
        const auto part = [&](const Tensor& x) {
          return narrow(narrow(x, 0, b, 1), 1, begin, end - begin);
        };
        AttentionOptions alone;
        alone.window = window;
        EXPECT_LE(relative_difference(attention(part(in[0]), part(in[1]), part(in[2]), alone),
                                      part(whole)),
                  1e-13)
            << "positions " << begin << " to " << end;
        begin = end;
      }
    }
  }
}

TEST(Attention, NarrowTypesFollowF64) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.queries);
    const std::vector<Tensor> half = inputs_for(c, DType::bf16);
    std::vector<Tensor> single;
    std::vector<Tensor> exact;
    for (const Tensor& x : half) {
      single.push_back(cast(x, DType::f32));
      exact.push_back(cast(x, DType::f64));
    }
    // The seed must be the same too: rounding it to bf16 is part of that comparison's tolerance.
    const Result expected = fused(c, exact);
    const Result f32 = fused(c, single);
    if (c.queries == 1) {  // dq and dk are zero but for rounding
      EXPECT_LE(relative_difference(expected.out, f32.out), 5e-6);
      continue;
    }
    expect_close(expected, f32, 5e-6);
    expect_close(expected, fused(c, half), 2e-2);
  }
}

TEST(Attention, ThreadsDoNotChangeBits) {
  const Case c{2, 150, 4, 2, 32};
  for (DType dtype : {DType::f32, DType::bf16}) {
    const auto on = [&](int threads) {
      const auto device = testing::chosen_device(threads);
      std::vector<Tensor> in;
      for (const Tensor& x : inputs_for(c, dtype)) {
        in.push_back(Tensor::from(x.values(), x.shape(), dtype, device));
      }
      return fused(c, in);
    };
    const Result one = on(1);
    const Result three = on(3);
    EXPECT_EQ(one.out.values(), three.out.values());
    EXPECT_EQ(one.dq.values(), three.dq.values());
    EXPECT_EQ(one.dk.values(), three.dk.values());
    EXPECT_EQ(one.dv.values(), three.dv.values());
  }
}

TEST(Attention, LargeScoresStayFinite) {
  const Case c{1, 130, 2, 2, 16};
  std::vector<Tensor> in = inputs_for(c);
  in[0] = random_tensor(in[0].shape(), 1, 100.0);
  in[1] = random_tensor(in[1].shape(), 2, 100.0);
  std::vector<Tensor> single;
  for (const Tensor& x : in) single.push_back(cast(x, DType::f32));
  const Result expected = fused(c, in);
  const Result got = fused(c, single);
  EXPECT_LE(relative_difference(expected.out, got.out), 5e-3);  // scores of 1e4 lose f32 digits
  for (double v : got.dq.values()) EXPECT_TRUE(std::isfinite(v));
}

TEST(Attention, FutureTokensChangeNothing) {
  const Case c{1, 100, 2, 1, 16};
  std::vector<Tensor> in = inputs_for(c, DType::f32);
  const std::vector<double> before = attention(in[0], in[1], in[2]).values();
  for (const auto& [which, value] : {std::pair{1, 1e6F}, {2, -1e6F}}) {
    const auto elements = host_update<float>(in[static_cast<size_t>(which)]);
    for (int64_t i = 70 * 16; i < 100 * 16; ++i) elements[i] = value;
  }
  const std::vector<double> after = attention(in[0], in[1], in[2]).values();
  for (size_t i = 0; i < 70 * 2 * 16; ++i) EXPECT_EQ(before[i], after[i]);
  EXPECT_NE(before, after);
}

TEST(Attention, OffsetAndDecodeContinueTheSequence) {
  for (int64_t window : {0, 20}) {
    for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      const double tolerance = dtype == DType::f64 ? 1e-13 : dtype == DType::f32 ? 2e-6 : 1e-2;
      const Case c{2, 90, 4, 2, 24, window};
      const std::vector<Tensor> in = inputs_for(c, dtype);
      const Tensor whole = attention(in[0], in[1], in[2], options_for(c));
      for (int64_t queries : {1, 3, 40}) {
        const Tensor q = narrow(in[0], 1, 90 - queries, queries);
        const Tensor expected = narrow(whole, 1, 90 - queries, queries);
        AttentionOptions options = options_for(c);
        options.q_offset = 90 - queries;
        EXPECT_LE(relative_difference(expected, attention(q, in[1], in[2], options)), tolerance);
        EXPECT_LE(relative_difference(expected, attention_decode(q, in[1], in[2], window)),
                  tolerance);
      }
    }
  }
}

TEST(Attention, MemoryIsLinearInTheSequence) {
  const auto peak_of = [](int64_t length) {
    const auto device = testing::chosen_device(1);
    const Tensor x = Tensor::full({1, length, 1, 16}, DType::f32, 0.5, device);
    device->reset_peak();
    const Tensor out = attention(leaf(x, [](Tensor) {}), x, x);
    const Tensor seed = Tensor::full(out.shape(), DType::f32, 1.0, device);
    backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&seed, 1));
    return static_cast<double>(device->memory().total.peak);
  };
  EXPECT_LE(peak_of(4096), 2.5 * peak_of(2048));
  EXPECT_LE(peak_of(4096), 0.2 * 4096 * 4096 * 4);
}

TEST(Attention, RefusesWhatDoesNotFit) {
  const Tensor q = random_tensor({1, 4, 3, 2}, 1);
  EXPECT_THROW(attention(q, random_tensor({1, 4, 2, 2}, 1), random_tensor({1, 4, 2, 2}, 1)), Error);
  EXPECT_THROW(attention(q, random_tensor({1, 4, 1, 3}, 1), random_tensor({1, 4, 1, 3}, 1)), Error);
  AttentionOptions falling;
  const std::vector<int32_t> ids = {1, 1, 0, 0};
  falling.documents = Tensor::from(std::span<const int32_t>(ids), {1, 4}, test_device());
  EXPECT_THROW(attention(q, q, q, falling), Error);
}

}  // namespace
}  // namespace troupe::testing
