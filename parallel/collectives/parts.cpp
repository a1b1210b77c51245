#include "parallel/collectives/parts.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "parallel/collectives/row_buffers.h"
#include "parallel/comm/rank_order_sum.h"

namespace troupe {
namespace {

using Counts = std::vector<int64_t>;

int64_t total(std::span<const int64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

// Where parts differ, one copy of the rows for each rank: an all-to-all in which all get the same.
Tensor gather(const Tensor& x, const Counts& counts, Communicator& group, const std::string& site) {
  const int64_t own = counts[static_cast<size_t>(group.rank())];
  if (std::all_of(counts.begin(), counts.end(), [&](int64_t n) { return n == own; })) {
    Tensor out = with_rows(x, total(counts));
    group.all_gather(x.view(), out.view(), site).wait(x.stream());
    return out;
  }
  const Tensor copies = with_rows(x, own * group.size());
  for (int peer = 0; peer < group.size() && x.bytes() > 0; ++peer) {
    std::memcpy(static_cast<std::byte*>(copies.view().data) + static_cast<size_t>(peer) * x.bytes(),
                x.view().data, x.bytes());
  }
  Tensor out = with_rows(x, total(counts));
  const Counts send(counts.size(), own);
  group.all_to_all(copies.view(), send, out.view(), counts, site).wait(x.stream());
  return out;
}

// The parts of this rank's rows from all ranks, then their sum.
Tensor sum(const Tensor& x, const Counts& counts, Communicator& group, const std::string& site) {
  const int64_t own = counts[static_cast<size_t>(group.rank())];
  const Tensor parts = with_rows(x, own * group.size());
  const Counts receive(counts.size(), own);
  group.all_to_all(x.view(), counts, parts.view(), receive, site).wait(x.stream());
  Tensor out = with_rows(x, own);
  std::vector<const void*> in;
  for (int peer = 0; peer < group.size(); ++peer) {
    in.push_back(static_cast<const std::byte*>(parts.view().data) +
                 static_cast<size_t>(peer) * out.bytes());
  }
  if (out.bytes() > 0) rank_order_sum(out.dtype(), in, out.view().data, out.elements());
  return out;
}

Tensor take_own(const Tensor& x, const Counts& counts, int rank) {
  const int64_t first = total(std::span(counts).first(static_cast<size_t>(rank)));
  const Tensor out = with_rows(x, counts[static_cast<size_t>(rank)]);
  const size_t row = x.dim(0) > 0 ? x.bytes() / static_cast<size_t>(x.dim(0)) : 0;
  if (out.bytes() > 0) {
    std::memcpy(out.view().data,
                static_cast<const std::byte*>(x.view().data) + static_cast<size_t>(first) * row,
                out.bytes());
  }
  return out;
}

void check(const Tensor& x, int64_t rows, std::span<const int64_t> counts,
           const Communicator& group, const std::string& site) {
  require(static_cast<int>(counts.size()) == group.size() && x.rank() >= 1 && x.contiguous() &&
              x.dim(0) == rows,
          "\"{}\": shape {} with strides {} for {} rows of {} ranks", site, x.shape().text(),
          x.strides().text(), rows, counts.size());
}

}  // namespace

Tensor all_gather_parts(const Tensor& x, std::span<const int64_t> counts, Communicator& group,
                        const std::string& site) {
  check(x, counts[static_cast<size_t>(group.rank())], counts, group, site);
  if (group.size() == 1) return x;
  const Operator op("all_gather_parts", x.stream());
  Counts of(counts.begin(), counts.end());
  Tensor out = gather(x, of, group, site);
  return record(op, std::move(out), {x},
                [of = std::move(of), &group, site](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, sum(packed_rows(dy), of, group, site + " gradient"));
                });
}

Tensor reduce_scatter_parts(const Tensor& x, std::span<const int64_t> counts, Communicator& group,
                            const std::string& site) {
  check(x, total(counts), counts, group, site);
  if (group.size() == 1) return x;
  const Operator op("reduce_scatter_parts", x.stream());
  Counts of(counts.begin(), counts.end());
  Tensor out = sum(x, of, group, site);
  return record(op, std::move(out), {x},
                [of = std::move(of), &group, site](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, gather(packed_rows(dy), of, group, site + " gradient"));
                });
}

Tensor slice_rows(const Tensor& x, std::span<const int64_t> counts, Communicator& group,
                  const std::string& site) {
  check(x, total(counts), counts, group, site);
  if (group.size() == 1) return x;
  const Operator op("slice_rows", x.stream());
  Counts of(counts.begin(), counts.end());
  Tensor out = take_own(x, of, group.rank());
  return record(op, std::move(out), {x},
                [of = std::move(of), &group, site](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, gather(packed_rows(dy), of, group, site + " gradient"));
                });
}

Tensor all_parts(const Tensor& x, std::span<const int64_t> counts, Communicator& group,
                 const std::string& site) {
  check(x, counts[static_cast<size_t>(group.rank())], counts, group, site);
  if (group.size() == 1) return x;
  const Operator op("all_parts", x.stream());
  Counts of(counts.begin(), counts.end());
  Tensor out = gather(x, of, group, site);
  return record(
      op, std::move(out), {x},
      [of = std::move(of), rank = group.rank()](const Tensor& dy, InputGradients& inputs) {
        inputs.add(0, take_own(packed_rows(dy), of, rank));
      });
}

}  // namespace troupe
