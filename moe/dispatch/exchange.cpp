#include "moe/dispatch/exchange.h"

#include <numeric>
#include <unordered_set>

#include "core/autograd/tape.h"
#include "core/base/error.h"

namespace troupe {
namespace {

Tensor move_rows(const Tensor& x_RD, std::span<const int64_t> send, std::span<const int64_t> recv,
                 Communicator& group, const std::string& site, PhaseClock* clock) {
  PhaseScope scope(clock, Phase::comm);
  const int64_t rows = std::accumulate(recv.begin(), recv.end(), int64_t{0});
  Tensor out = Tensor::empty(Shape{rows, x_RD.dim(1)}, x_RD.dtype(), x_RD.device(),
                             MemoryKind::communication);
  group.all_to_all(x_RD.view(), send, out.view(), recv, site).wait();
  return out;
}

}  // namespace

Tensor exchange_rows(const Tensor& x_RD, std::span<const int64_t> send,
                     std::span<const int64_t> recv, Communicator& group, const std::string& site,
                     PhaseClock* clock) {
  if (group.size() == 1) return x_RD;
  require(x_RD.contiguous() && x_RD.rank() == 2, "exchange of rows of shape {}",
          x_RD.shape().text());
  Tensor out = move_rows(x_RD, send, recv, group, site, clock);
  // The ranks must agree on who enters the backward exchange: a rank whose rows carry no gradient
  // while its peers' do would leave them waiting, so the caller gives all or none one.
  return record("exchange_rows", std::move(out), {x_RD},
                [there = std::vector<int64_t>(send.begin(), send.end()),
                 back = std::vector<int64_t>(recv.begin(), recv.end()), &group, site,
                 clock](const Tensor& g, InputGradients& inputs) {
                  inputs.add(0, move_rows(g, back, there, group, site + " gradient", clock));
                });
}

void charge_backward(std::span<const Tensor> outputs, std::span<const Tensor> inputs,
                     PhaseClock* clock, Phase phase) {
  if (clock == nullptr) return;
  std::unordered_set<Node*> seen;
  for (const Tensor& input : inputs) seen.insert(input.node().get());
  std::vector<Node*> stack;
  auto visit = [&](Node* node) {
    if (node != nullptr && seen.insert(node).second) stack.push_back(node);
  };
  for (const Tensor& output : outputs) visit(output.node().get());
  while (!stack.empty()) {
    Node* node = stack.back();
    stack.pop_back();
    for (const auto& input : node->inputs) visit(input.get());
    if (node->input_gradient) {
      node->input_gradient = [run = std::move(node->input_gradient), clock, phase](
                                 const Tensor& g, InputGradients& to) {
        PhaseScope scope(clock, phase);
        run(g, to);
      };
    }
    if (node->weight_gradient) {
      node->weight_gradient = [run = std::move(node->weight_gradient), clock,
                               phase](const Tensor& g) {
        PhaseScope scope(clock, phase);
        run(g);
      };
    }
  }
}

}  // namespace troupe
