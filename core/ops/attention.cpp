#include "core/ops/attention.h"

#include <cmath>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/attention.h"
#include "core/kernels/visible_keys.h"
#include "core/ops/arithmetic.h"
#include "core/ops/raw.h"
#include "core/ops/reduce.h"
#include "core/ops/softmax.h"
#include "core/ops/view.h"

namespace troupe {
namespace {

void check(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& options) {
  raw::check_same_type("attention", q, k);
  raw::check_same_type("attention", q, v);
  require(q.rank() == 4 && k.rank() == 4 && k.shape() == v.shape() && q.dim(0) == k.dim(0) &&
              q.dim(3) == k.dim(3) && k.dim(2) > 0 && q.dim(2) % k.dim(2) == 0 && q.dim(3) > 0,
          "attention of queries {}, keys {} and values {}", q.shape().text(), k.shape().text(),
          v.shape().text());
  require(options.window >= 0 && options.q_offset >= 0, "attention with window {}, q_offset {}",
          options.window, options.q_offset);
  if (!options.documents.defined()) return;
  require(options.documents.elements() == q.dim(0) * q.dim(1) && options.q_offset == 0 &&
              q.dim(1) == k.dim(1) && options.documents.dtype() == DType::i32 &&
              options.documents.contiguous(),
          "attention of {} with documents {}", q.shape().text(), options.documents.shape().text());
}

// The keys that each query sees, as kernels read them.
struct Range {
  Tensor first;
  Tensor end;
  kernels::AttentionMask mask() const { return {first.view(), end.view()}; }
};

// Query s of a sequence stands at position s + q_offset of its keys.
Range range_of(const Tensor& q, const Tensor& k, const AttentionOptions& options) {
  const int64_t queries = q.dim(1);
  Range range{first_visible(q.dim(0), queries, options, q.device()),
              Tensor::empty({q.dim(0), queries}, DType::i32, q.device())};
  kernels::visible_end(q.stream(), options.q_offset, k.dim(1), range.end.view());
  return range;
}

// The value with a contiguous last dim.
Tensor dense_rows(const Tensor& x) {
  return x.strides()[-1] == 1 || x.dim(-1) == 1 ? x.detach() : raw::contiguous(x);
}

}  // namespace

double AttentionOptions::scale_for(int64_t head_dim) const {
  return scale != 0 ? scale : 1.0 / std::sqrt(static_cast<double>(head_dim));
}

Tensor first_visible(int64_t sequences, int64_t queries, const AttentionOptions& options,
                     const std::shared_ptr<Device>& device) {
  const Tensor first = Tensor::empty({sequences, queries}, DType::i32, device);
  kernels::first_visible(first.stream(),
                         options.documents.defined() ? options.documents.view() : View{},
                         options.window, options.q_offset, first.view());
  return first;
}

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionOptions& options) {
  const Operator op("attention", q.stream());
  check(q, k, v, options);
  const double scale = options.scale_for(q.dim(3));
  const Range range = range_of(q, k, options);
  const Tensor query = dense_rows(q);
  const Tensor key = dense_rows(k);
  const Tensor value = dense_rows(v);
  Tensor out = Tensor::empty(q.shape(), q.dtype(), q.device());
  const Tensor lse = Tensor::empty({q.dim(0), q.dim(2), q.dim(1)}, wide(q.dtype()), q.device());
  kernels::attention(out.stream(), query.view(), key.view(), value.view(), scale, range.mask(),
                     out.view(), lse.view());
  return record(op, out, {q, k, v},
                [query = Saved(query), key = Saved(key), value = Saved(value), out = Saved(out),
                 lse, range, scale](const Tensor& dy, InputGradients& inputs) {
                  const Tensor& q = query.get("attention");
                  const Tensor& k = key.get("attention");
                  const Tensor& v = value.get("attention");
                  const Tensor dq = Tensor::empty(q.shape(), q.dtype(), q.device());
                  const Tensor dk = Tensor::empty(k.shape(), k.dtype(), k.device());
                  const Tensor dv = Tensor::empty(v.shape(), v.dtype(), v.device());
                  const Tensor g = raw::contiguous(dy);
                  kernels::attention_gradient(g.stream(), q.view(), k.view(), v.view(), scale,
                                              range.mask(), out.get("attention").view(), lse.view(),
                                              g.view(), dq.view(), dk.view(), dv.view());
                  inputs.add(0, dq);
                  inputs.add(1, dk);
                  inputs.add(2, dv);
                });
}

Tensor attention_decode(const Tensor& q, const Tensor& k, const Tensor& v, int64_t window,
                        double scale) {
  const Operator op("attention_decode", q.stream());
  AttentionOptions options;
  options.window = window;
  options.scale = scale;
  require(q.rank() == 4 && k.rank() == 4 && k.dim(1) >= q.dim(1),
          "attention_decode of queries {} against keys {}", q.shape().text(), k.shape().text());
  options.q_offset = k.dim(1) - q.dim(1);
  check(q, k, v, options);
  constexpr int64_t kFew = 16;  // beyond this, blocks are faster and need less memory
  if (q.dim(1) > kFew) {
    const NoGrad no_grad;
    return attention(q, k, v, options);
  }
  Tensor out = Tensor::empty(q.shape(), q.dtype(), q.device());
  kernels::attention_decode(out.stream(), dense_rows(q).view(), dense_rows(k).view(),
                            dense_rows(v).view(), options.scale_for(q.dim(3)),
                            range_of(q, k, options).mask(), out.view());
  return out;
}

Tensor attention_composite(const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionOptions& options) {
  check(q, k, v, options);
  const int64_t queries = q.dim(1);
  const int64_t keys = k.dim(1);
  const int64_t group = q.dim(2) / k.dim(2);
  const Range range = range_of(q, k, options);
  const Tensor mask = Tensor::empty({q.dim(0), queries, keys}, wide(q.dtype()), q.device());
  kernels::key_mask(mask.stream(), range.first.view(), range.end.view(), mask.view());
  const Tensor hidden = reshape(cast(mask, q.dtype()), {q.dim(0), 1, queries, keys});
  // [B, S, H, hd] -> [B, H, S, 1, hd]; keys are repeated for the heads of their group.
  const auto repeated = [&](const Tensor& x) {
    const Shape one = {x.dim(0), x.dim(1), x.dim(2), 1, x.dim(3)};
    const Shape all = {x.dim(0), x.dim(1), x.dim(2), group, x.dim(3)};
    const Tensor heads =
        reshape(expand(reshape(x, one), all), {x.dim(0), x.dim(1), q.dim(2), x.dim(3)});
    const Tensor turned = transpose(heads, 1, 2);
    return reshape(turned, {x.dim(0), q.dim(2), 1, x.dim(1), x.dim(3)});
  };
  const Tensor rows = reshape(transpose(q, 1, 2), {q.dim(0), q.dim(2), queries, 1, q.dim(3)});
  const Tensor scores = scale(sum(mul(rows, repeated(k)), -1), options.scale_for(q.dim(3)));
  const Tensor p = softmax(add(scores, hidden));
  const Tensor spread = reshape(p, {q.dim(0), q.dim(2), queries, keys, 1});
  return transpose(sum(mul(spread, repeated(v)), 3), 1, 2);
}

}  // namespace troupe
