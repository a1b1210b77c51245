#include "parallel/cp/head_exchange.h"

#include <numeric>
#include <vector>

#include "core/base/error.h"
#include "core/kernels/elementwise.h"

namespace troupe {
namespace {

Tensor reshaped(const Tensor& x, const Shape& shape) {
  return x.strided(shape, contiguous_strides(shape), 0);
}

// [a, b, c] -> [b, a, c]; x as it is where both are the same bytes.
Tensor swapped(const Tensor& x, int64_t a, int64_t b) {
  const int64_t c = a * b > 0 ? x.elements() / (a * b) : 0;
  if (a == 1 || b == 1) return reshaped(x, {b, a, c});
  Tensor out = Tensor::empty({b, a, c}, x.dtype(), x.device(), MemoryKind::communication);
  kernels::copy(x.stream(), x.strided({b, a, c}, {c, b * c, 1}, 0).view(), out.view());
  return out;
}

// x [ranks, ...]: row r goes to rank r, and as many come back.
Tensor exchanged(const Tensor& x, Communicator& group, const std::string& site) {
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device(), MemoryKind::communication);
  const std::vector<int64_t> one_each(static_cast<size_t>(group.size()), 1);
  group.all_to_all(x.view(), one_each, out.view(), one_each, site).wait(x.stream());
  return out;
}

// Heads [first, first + count) of x [B, n, heads, hd].
View heads_of(const Tensor& x, int64_t first, int64_t count) {
  return x.strided({x.dim(0), x.dim(1), count, x.dim(3)}, x.strides(), first * x.strides()[2])
      .view();
}

}  // namespace

Tensor heads_for_positions(const Tensor& x, Communicator& group, const std::string& site) {
  const int64_t ranks = group.size();
  const int64_t tokens = x.dim(0) * x.dim(1);
  const Tensor sent = exchanged(swapped(x, tokens, ranks), group, site);
  return reshaped(swapped(sent, ranks, x.dim(0)),
                  {x.dim(0), ranks * x.dim(1), x.dim(2) / ranks, x.dim(3)});
}

Tensor positions_for_heads(const Tensor& x, Communicator& group, const std::string& site) {
  const int64_t ranks = group.size();
  const int64_t positions = x.dim(1) / ranks;
  const Tensor sent = exchanged(swapped(x, x.dim(0), ranks), group, site);
  return reshaped(swapped(sent, ranks, x.dim(0) * positions),
                  {x.dim(0), positions, x.dim(2) * ranks, x.dim(3)});
}

HeadSplit::HeadSplit(int64_t heads, int64_t kv_heads, int ranks)
    : ranks_(ranks),
      query_heads_(heads / ranks),
      all_kv_heads_(kv_heads),
      query_heads_per_kv_(heads / kv_heads),
      run_(std::gcd(query_heads_, query_heads_per_kv_)) {
  require(heads % ranks == 0 && heads % kv_heads == 0, "{} heads, {} kv heads over {} ranks", heads,
          kv_heads, ranks);
}

Tensor HeadSplit::pack(const Tensor& q, const Tensor& k, const Tensor& v) const {
  Tensor packed = Tensor::empty({q.dim(0), q.dim(1), ranks_ * width(), q.dim(3)}, q.dtype(),
                                q.device(), MemoryKind::communication);
  for (int rank = 0; rank < ranks_; ++rank) {
    int64_t at = rank * width();
    kernels::copy(q.stream(), heads_of(q, rank * query_heads_, query_heads_),
                  heads_of(packed, at, query_heads_));
    at += query_heads_;
    for (const Tensor* x : {&k, &v}) {
      for (int64_t i = 0; i < kv_heads(); ++i) {
        kernels::copy(q.stream(), heads_of(*x, kv_head(rank, i), 1), heads_of(packed, at++, 1));
      }
    }
  }
  return packed;
}

Tensor HeadSplit::part(const Tensor& x, int which) const {
  const int64_t first = which == 0 ? 0 : query_heads_ + (which - 1) * kv_heads();
  return x.strided({x.dim(0), x.dim(1), which == 0 ? query_heads_ : kv_heads(), x.dim(3)},
                   x.strides(), first * x.strides()[2]);
}

// offset: of the places of k or v among a rank's heads.
Tensor HeadSplit::sum_heads(const Tensor& packed, int64_t offset) const {
  const Shape shape{packed.dim(0), packed.dim(1), all_kv_heads_, packed.dim(3)};
  Stream& stream = packed.stream();
  const Tensor sum = Tensor::empty(shape, wide(packed.dtype()), packed.device());
  const Tensor widened =
      Tensor::empty({shape[0], shape[1], 1, shape[3]}, sum.dtype(), packed.device());
  int64_t begun = 0;  // heads that have a first summand; places stand in the order of their heads
  for (int rank = 0; rank < ranks_; ++rank) {
    for (int64_t i = 0; i < kv_heads(); ++i) {
      const int64_t head = kv_head(rank, i);
      const View given = heads_of(packed, rank * width() + offset + i, 1);
      const View to = heads_of(sum, head, 1);
      if (head == begun) {
        kernels::copy(stream, given, to);
        ++begun;
      } else {
        kernels::copy(stream, given, widened.view());
        kernels::add(stream, to, widened.view(), to);
      }
    }
  }
  if (sum.dtype() == packed.dtype()) return sum;
  Tensor out = Tensor::empty(shape, packed.dtype(), packed.device());
  kernels::copy(stream, sum.view(), out.view());
  return out;
}

HeadSplit::Unpacked HeadSplit::unpack_gradient(const Tensor& packed) const {
  Unpacked out;
  out.q = Tensor::empty({packed.dim(0), packed.dim(1), ranks_ * query_heads_, packed.dim(3)},
                        packed.dtype(), packed.device());
  for (int rank = 0; rank < ranks_; ++rank) {
    kernels::copy(packed.stream(), heads_of(packed, rank * width(), query_heads_),
                  heads_of(out.q, rank * query_heads_, query_heads_));
  }
  out.k = sum_heads(packed, query_heads_);
  out.v = sum_heads(packed, query_heads_ + kv_heads());
  return out;
}

}  // namespace troupe
