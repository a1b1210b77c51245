// Attention whose keys come in parts, joined by the kernels.
#include <gtest/gtest.h>

#include "core/autograd/tape.h"
#include "core/kernels/attention.h"
#include "core/kernels/elementwise.h"
#include "core/ops/attention.h"
#include "core/ops/raw.h"
#include "core/tensor/host_memory.h"
#include "tests/core/ops/gradient_check.h"

namespace troupe::testing {
namespace {

// Keys [begin, end) of [B, Sk, Hkv, hd].
Tensor keys_of(const Tensor& x, int64_t begin, int64_t end) {
  return x.strided({x.dim(0), end - begin, x.dim(2), x.dim(3)}, x.strides(),
                   begin * x.strides()[1]);
}

// The part's mask of causal attention with a window.
struct PartMask {
  Tensor first, end;
  PartMask(int64_t batch, int64_t queries, int64_t window, int64_t part_begin, int64_t part_end)
      : first(Tensor::empty({batch, queries}, DType::i32, test_device())),
        end(Tensor::empty({batch, queries}, DType::i32, test_device())) {
    const auto begins = host_output<int32_t>(first);
    const auto ends = host_output<int32_t>(end);
    for (int64_t i = 0; i < batch * queries; ++i) {
      const int64_t s = i % queries;
      const int64_t from = window > 0 ? s - window + 1 : 0;
      const int64_t size = part_end - part_begin;
      begins[i] = static_cast<int32_t>(std::clamp<int64_t>(from - part_begin, 0, size));
      ends[i] = static_cast<int32_t>(std::clamp<int64_t>(s + 1 - part_begin, 0, size));
    }
  }
  kernels::AttentionMask mask() const { return {first.view(), end.view()}; }
};

// Causal attention, key parts [bounds[i], bounds[i + 1]) one after the other.
Tensor in_parts(const Tensor& q, const Tensor& k, const Tensor& v, int64_t window,
                const std::vector<int64_t>& bounds) {
  using kernels::KeyPart;
  const Tensor out = Tensor::empty(q.shape(), wide(q.dtype()), q.device());
  const Tensor lse = Tensor::empty({q.dim(0), q.dim(2), q.dim(1)}, out.dtype(), q.device());
  const auto each = [=](auto f) {
    for (size_t i = 0; i + 1 < bounds.size(); ++i) {
      f(bounds[i], bounds[i + 1], PartMask(q.dim(0), q.dim(1), window, bounds[i], bounds[i + 1]),
        i == 0 ? KeyPart::first : KeyPart::further);
    }
  };
  const double scale = AttentionOptions{}.scale_for(q.dim(3));
  each([&](int64_t begin, int64_t end, const PartMask& mask, KeyPart part) {
    kernels::attention(q.stream(), q.view(), keys_of(k, begin, end).view(),
                       keys_of(v, begin, end).view(), scale, mask.mask(), out.view(), lse.view(),
                       part);
  });
  const Tensor rounded = Tensor::empty(q.shape(), q.dtype(), q.device());
  kernels::copy(q.stream(), out.view(), rounded.view());
  return record(
      Operator("attention_in_parts", q.stream()), rounded, {q, k, v},
      [=, q = q.detach(), k = k.detach(), v = v.detach()](const Tensor& dy,
                                                          InputGradients& inputs) {
        const Tensor dout = raw::contiguous(dy);
        const Tensor dq = Tensor::empty(q.shape(), wide(q.dtype()), q.device());
        const Tensor dk = Tensor::zeros(k.shape(), k.dtype(), k.device());
        const Tensor dv = Tensor::zeros(v.shape(), v.dtype(), v.device());
        each([&](int64_t begin, int64_t end, const PartMask& mask, KeyPart part) {
          const Tensor keys = keys_of(k, begin, end);
          const Tensor dk_part = Tensor::full(keys.shape(), wide(k.dtype()), 1e30, k.device());
          const Tensor dv_part = Tensor::full(keys.shape(), wide(k.dtype()), 1e30, k.device());
          kernels::attention_gradient(q.stream(), q.view(), keys.view(),
                                      keys_of(v, begin, end).view(), scale, mask.mask(),
                                      rounded.view(), lse.view(), dout.view(), dq.view(),
                                      dk_part.view(), dv_part.view(), part);
          kernels::copy(q.stream(), dk_part.view(), keys_of(dk, begin, end).view());
          kernels::copy(q.stream(), dv_part.view(), keys_of(dv, begin, end).view());
        });
        const Tensor dq_rounded = Tensor::empty(q.shape(), q.dtype(), q.device());
        kernels::copy(q.stream(), dq.view(), dq_rounded.view());
        inputs.add(0, dq_rounded);
        inputs.add(1, dk);
        inputs.add(2, dv);
      });
}

struct Case {
  int64_t batch, length, heads, kv_heads, head_dim, window;
  std::vector<int64_t> bounds;
};

std::vector<Tensor> inputs_for(const Case& c, DType dtype) {
  return {random_tensor({c.batch, c.length, c.heads, c.head_dim}, 1, 1, 0, dtype),
          random_tensor({c.batch, c.length, c.kv_heads, c.head_dim}, 2, 1, 0, dtype),
          random_tensor({c.batch, c.length, c.kv_heads, c.head_dim}, 3, 1, 0, dtype)};
}

std::vector<Tensor> results(const Function& f, const std::vector<Tensor>& in) {
  std::vector<Tensor> r(4);
  std::vector<Tensor> leaves;
  for (size_t i = 0; i < 3; ++i) {
    leaves.push_back(leaf(in[i], [&r, i](Tensor g) { r[i + 1] = std::move(g); }));
  }
  const Tensor out = f(leaves);
  r[0] = out.detach();
  const Tensor seed = random_tensor(out.shape(), 4, 1, 0, out.dtype());
  backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&seed, 1));
  return r;
}

TEST(AttentionInParts, Gradients) {
  for (const Case& c : std::vector<Case>{{1, 5, 2, 1, 3, 0, {0, 2, 5}},
                                         {2, 6, 4, 2, 2, 3, {0, 2, 4, 6}},
                                         {1, 4, 1, 1, 2, 0, {0, 4}}}) {
    expect_gradients([&](auto in) { return in_parts(in[0], in[1], in[2], c.window, c.bounds); },
                     inputs_for(c, DType::f64));
  }
}

TEST(AttentionInParts, AreTheWhole) {
  for (const Case& c : std::vector<Case>{{2, 150, 4, 2, 24, 0, {0, 70, 150}},
                                         {1, 200, 6, 2, 33, 37, {0, 1, 64, 65, 130, 200}},
                                         {1, 130, 2, 2, 8, 1, {0, 65, 130}}}) {
    for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      const double tolerance = dtype == DType::f64 ? 1e-13 : dtype == DType::f32 ? 5e-6 : 1.2e-2;
      const std::vector<Tensor> in = inputs_for(c, dtype);
      AttentionOptions options;
      options.window = c.window;
      const auto whole = results([&](auto x) { return attention(x[0], x[1], x[2], options); }, in);
      const auto parts =
          results([&](auto x) { return in_parts(x[0], x[1], x[2], c.window, c.bounds); }, in);
      for (size_t i = 0; i < 4; ++i) {
        // With a window of one p is 1 and nothing flows to q and k.
        const double floor = c.window == 1 ? 1.0 : 1e-30;
        EXPECT_LE(relative_difference(whole[i], parts[i], floor), tolerance) << i;
      }
    }
  }
}

// The first part may hold nothing that some queries see: what they hold then is the further part's.
TEST(AttentionInParts, APartThatNobodySees) {
  const Case c{1, 6, 1, 1, 2, 2, {0, 2, 4, 6}};
  const std::vector<Tensor> in = inputs_for(c, DType::f64);
  AttentionOptions options;
  options.window = c.window;
  EXPECT_LE(relative_difference(attention(in[0], in[1], in[2], options),
                                in_parts(in[0], in[1], in[2], c.window, c.bounds)),
            1e-14);
}

}  // namespace
}  // namespace troupe::testing
