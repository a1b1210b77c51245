#include "moe/dispatch/exchange.h"

#include <unordered_set>

#include "core/autograd/tape.h"
#include "parallel/collectives/collectives.h"
#include "parallel/collectives/parts.h"

namespace troupe {

Tensor exchange_rows(const Tensor& x_RD, std::span<const int64_t> send,
                     std::span<const int64_t> recv, Communicator& group, const std::string& site,
                     PhaseClock* clock) {
  if (group.size() == 1) return x_RD;
  PhaseScope scope(clock, Phase::comm);
  Tensor out = all_to_all_rows(x_RD, send, recv, group, site);
  charge_backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&x_RD, 1), clock,
                  Phase::comm);
  return out;
}

Tensor gather_parts(const Tensor& x_RD, std::span<const int64_t> counts, Communicator& group,
                    const std::string& site, PhaseClock* clock) {
  if (group.size() == 1) return x_RD;
  PhaseScope scope(clock, Phase::comm);
  Tensor out = all_gather_parts(x_RD, counts, group, site);
  charge_backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&x_RD, 1), clock,
                  Phase::comm);
  return out;
}

Tensor sum_parts(const Tensor& x_RD, std::span<const int64_t> counts, Communicator& group,
                 const std::string& site, PhaseClock* clock) {
  if (group.size() == 1) return x_RD;
  PhaseScope scope(clock, Phase::comm);
  Tensor out = reduce_scatter_parts(x_RD, counts, group, site);
  charge_backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&x_RD, 1), clock,
                  Phase::comm);
  return out;
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
