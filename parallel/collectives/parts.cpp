#include "parallel/collectives/parts.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/reduce.h"
#include "parallel/collectives/row_buffers.h"

namespace troupe {
namespace {

using Counts = std::vector<int64_t>;

int64_t total(std::span<const int64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

Tensor rows(const Tensor& x, int64_t first, int64_t count) {
  Shape shape = x.shape();
  shape[0] = count;
  return x.strided(shape, x.strides(), first * x.strides()[0]);
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
  for (int peer = 0; peer < group.size(); ++peer)
    kernels::copy(x.stream(), x.view(), rows(copies, own * peer, own).view());
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
  std::vector<kernels::Part> in;
  for (int peer = 0; peer < group.size(); ++peer)
    in.push_back({rows(parts, own * peer, own).view()});
  kernels::sum_in_order(out.stream(), in, out.view());
  return out;
}

Tensor take_own(const Tensor& x, const Counts& counts, int rank) {
  const int64_t first = total(std::span(counts).first(static_cast<size_t>(rank)));
  const Tensor out = with_rows(x, counts[static_cast<size_t>(rank)]);
  kernels::copy(x.stream(), rows(x, first, out.dim(0)).view(), out.view());
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
