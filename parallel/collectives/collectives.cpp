#include "parallel/collectives/collectives.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/kernels/elementwise.h"

namespace troupe {
namespace {

Tensor with_rows(const Tensor& like, int64_t rows) {
  Shape shape = like.shape();
  shape[0] = rows;
  return Tensor::empty(shape, like.dtype(), like.device(), MemoryKind::communication);
}

Tensor copy_of(const Tensor& x) {
  Tensor out = with_rows(x, x.dim(0));
  if (x.bytes() > 0) std::memcpy(out.view().data, x.view().data, x.bytes());
  return out;
}

void check(const Tensor& x, const std::string& site) {
  require(x.rank() >= 1 && x.contiguous(), "collective \"{}\" on shape {} with strides {}", site,
          x.shape().text(), x.strides().text());
}

// Gradients may come as broadcast or strided views.
Tensor packed(const Tensor& dy) {
  if (dy.contiguous()) return dy;
  Tensor out = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  kernels::copy(out.stream(), dy.view(), out.view());
  return out;
}

Tensor move_rows(const Tensor& x, std::span<const int64_t> send, std::span<const int64_t> recv,
                 Communicator& group, const std::string& site) {
  Tensor out = with_rows(x, std::accumulate(recv.begin(), recv.end(), int64_t{0}));
  group.all_to_all(x.view(), send, out.view(), recv, site).wait();
  return out;
}

Tensor sum(const Tensor& x, Communicator& group, const std::string& site) {
  Tensor out = copy_of(x);
  group.all_reduce_sum(out.view(), site).wait();
  return out;
}

Tensor gather(const Tensor& x, Communicator& group, const std::string& site) {
  Tensor out = with_rows(x, x.dim(0) * group.size());
  group.all_gather(x.view(), out.view(), site).wait();
  return out;
}

Tensor scatter(const Tensor& x, Communicator& group, const std::string& site) {
  require(x.dim(0) % group.size() == 0, "\"{}\": {} rows over {} ranks", site, x.dim(0),
          group.size());
  Tensor out = with_rows(x, x.dim(0) / group.size());
  group.reduce_scatter_sum(x.view(), out.view(), site).wait();
  return out;
}

// Every rank's rows, in rank order: an all-gather of the longest part, then without the gaps.
Tensor gather_uneven(const Tensor& x, std::span<const int64_t> counts, Communicator& group,
                     const std::string& site) {
  require(x.dim(0) == counts[static_cast<size_t>(group.rank())], "\"{}\": {} rows, {} announced",
          site, x.dim(0), counts[static_cast<size_t>(group.rank())]);
  const int64_t longest = *std::max_element(counts.begin(), counts.end());
  if (std::all_of(counts.begin(), counts.end(), [&](int64_t n) { return n == longest; }))
    return gather(x, group, site);
  const Tensor padded = with_rows(x, longest);
  std::memset(padded.view().data, 0, padded.bytes());
  if (x.bytes() > 0) std::memcpy(padded.view().data, x.view().data, x.bytes());
  const Tensor all = gather(padded, group, site);
  const Tensor out = with_rows(x, std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  const size_t row = padded.bytes() / static_cast<size_t>(std::max<int64_t>(longest, 1));
  auto* to = static_cast<std::byte*>(out.view().data);
  const auto* from = static_cast<const std::byte*>(all.view().data);
  for (int64_t count : counts) {
    const size_t bytes = static_cast<size_t>(count) * row;
    if (bytes > 0) std::memcpy(to, from, bytes);
    to += bytes;
    from += padded.bytes();
  }
  return out;
}

Tensor take_own(const Tensor& x, std::span<const int64_t> counts, int rank) {
  const int64_t first = std::accumulate(counts.begin(), counts.begin() + rank, int64_t{0});
  const Tensor out = with_rows(x, counts[static_cast<size_t>(rank)]);
  const size_t row = x.dim(0) > 0 ? x.bytes() / static_cast<size_t>(x.dim(0)) : 0;
  if (out.bytes() > 0) {
    std::memcpy(out.view().data,
                static_cast<const std::byte*>(x.view().data) + static_cast<size_t>(first) * row,
                out.bytes());
  }
  return out;
}

}  // namespace

Tensor all_to_all_rows(const Tensor& x, std::span<const int64_t> send_rows,
                       std::span<const int64_t> recv_rows, Communicator& group,
                       const std::string& site) {
  check(x, site);
  return record("all_to_all_rows", move_rows(x, send_rows, recv_rows, group, site), {x},
                [there = std::vector<int64_t>(send_rows.begin(), send_rows.end()),
                 back = std::vector<int64_t>(recv_rows.begin(), recv_rows.end()), &group,
                 site](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, move_rows(packed(dy), back, there, group, site + " gradient"));
                });
}

Tensor own_rows(const Tensor& x, std::span<const int64_t> counts, Communicator& group,
                const std::string& site) {
  check(x, site);
  return record("own_rows", take_own(x, counts, group.rank()), {x},
                [counts = std::vector<int64_t>(counts.begin(), counts.end()), &group, site](
                    const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, gather_uneven(packed(dy), counts, group, site + " gradient"));
                });
}

Tensor all_rows(const Tensor& x, std::span<const int64_t> counts, Communicator& group,
                const std::string& site) {
  check(x, site);
  return record("all_rows", gather_uneven(x, counts, group, site), {x},
                [counts = std::vector<int64_t>(counts.begin(), counts.end()), rank = group.rank()](
                    const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, take_own(packed(dy), counts, rank));
                });
}

Tensor sum_over_group(const Tensor& x, Communicator& group, const std::string& site) {
  check(x, site);
  return record("sum_over_group", sum(x, group, site), {x},
                [](const Tensor& dy, InputGradients& inputs) { inputs.add(0, dy); });
}

Tensor copy_to_group(const Tensor& x, Communicator& group, const std::string& site) {
  check(x, site);
  return record("copy_to_group", x.detach(), {x},
                [&group, site](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, sum(packed(dy), group, site + " gradient"));
                });
}

Tensor all_gather_rows(const Tensor& x, Communicator& group, const std::string& site) {
  check(x, site);
  return record("all_gather_rows", gather(x, group, site), {x},
                [&group, site](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, scatter(packed(dy), group, site + " gradient"));
                });
}

Tensor reduce_scatter_rows(const Tensor& x, Communicator& group, const std::string& site) {
  check(x, site);
  return record("reduce_scatter_rows", scatter(x, group, site), {x},
                [&group, site](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, gather(packed(dy), group, site + " gradient"));
                });
}

}  // namespace troupe
