#include "parallel/collectives/collectives.h"

#include <numeric>
#include <vector>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/elementwise.h"
#include "parallel/collectives/row_buffers.h"

namespace troupe {
namespace {

Tensor copy_of(const Tensor& x) {
  Tensor out = with_rows(x, x.dim(0));
  kernels::copy(out.stream(), x.view(), out.view());
  return out;
}

void check(const Tensor& x, const std::string& site) {
  require(x.rank() >= 1 && x.contiguous(), "collective \"{}\" on shape {} with strides {}", site,
          x.shape().text(), x.strides().text());
}

Tensor move_rows(const Tensor& x, std::span<const int64_t> send, std::span<const int64_t> recv,
                 Communicator& group, const std::string& site) {
  Tensor out = with_rows(x, std::accumulate(recv.begin(), recv.end(), int64_t{0}));
  group.all_to_all(x.view(), send, out.view(), recv, site).wait(x.stream());
  return out;
}

Tensor sum(const Tensor& x, Communicator& group, const std::string& site) {
  Tensor out = copy_of(x);
  group.all_reduce_sum(out.view(), site).wait(x.stream());
  return out;
}

Tensor gather(const Tensor& x, Communicator& group, const std::string& site) {
  Tensor out = with_rows(x, x.dim(0) * group.size());
  group.all_gather(x.view(), out.view(), site).wait(x.stream());
  return out;
}

Tensor scatter(const Tensor& x, Communicator& group, const std::string& site) {
  require(x.dim(0) % group.size() == 0, "\"{}\": {} rows over {} ranks", site, x.dim(0),
          group.size());
  Tensor out = with_rows(x, x.dim(0) / group.size());
  group.reduce_scatter_sum(x.view(), out.view(), site).wait(x.stream());
  return out;
}

}  // namespace

Tensor all_to_all_rows(const Tensor& x, std::span<const int64_t> send_rows,
                       std::span<const int64_t> recv_rows, Communicator& group,
                       const std::string& site) {
  const Operator op("all_to_all_rows", x.stream());
  check(x, site);
  return record(op, move_rows(x, send_rows, recv_rows, group, site), {x},
                [there = std::vector<int64_t>(send_rows.begin(), send_rows.end()),
                 back = std::vector<int64_t>(recv_rows.begin(), recv_rows.end()), &group,
                 site](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, move_rows(packed_rows(dy), back, there, group, site + " gradient"));
                });
}

Tensor sum_over_group(const Tensor& x, Communicator& group, const std::string& site) {
  const Operator op("sum_over_group", x.stream());
  check(x, site);
  return record(op, sum(x, group, site), {x},
                [](const Tensor& dy, InputGradients& inputs) { inputs.add(0, dy); });
}

Tensor copy_to_group(const Tensor& x, Communicator& group, const std::string& site) {
  const Operator op("copy_to_group", x.stream());
  check(x, site);
  return record(op, x.detach(), {x}, [&group, site](const Tensor& dy, InputGradients& inputs) {
    inputs.add(0, sum(packed_rows(dy), group, site + " gradient"));
  });
}

Tensor all_gather_rows(const Tensor& x, Communicator& group, const std::string& site) {
  const Operator op("all_gather_rows", x.stream());
  check(x, site);
  return record(op, gather(x, group, site), {x},
                [&group, site](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, scatter(packed_rows(dy), group, site + " gradient"));
                });
}

Tensor reduce_scatter_rows(const Tensor& x, Communicator& group, const std::string& site) {
  const Operator op("reduce_scatter_rows", x.stream());
  check(x, site);
  return record(op, scatter(x, group, site), {x},
                [&group, site](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, gather(packed_rows(dy), group, site + " gradient"));
                });
}

}  // namespace troupe
