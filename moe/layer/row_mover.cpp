#include "moe/layer/row_mover.h"

#include <algorithm>

#include "moe/dispatch/dispatcher.h"
#include "moe/dispatch/node_hop.h"
#include "moe/layer/routed_experts.h"

namespace troupe {
namespace {

class OnNode final : public RowMover {
 public:
  OnNode(const MoELayerInputs& inputs, const Mesh& mesh, Placement placement)
      : dispatcher_(std::move(placement), {mesh.ep_node_group(), mesh.group(Axis::etp)},
                    inputs.name, chunks(inputs, mesh)) {}

  Result through(const Tensor& own_TD, const SparseAssignment& assignment, Experts& experts,
                 PhaseClock* clock) override {
    const PermutedRows leaving = dispatcher_.permute(own_TD, assignment, clock);
    const Tensor done = routed_experts(leaving, dispatcher_, experts, clock);
    return {dispatcher_.unpermute(done, *leaving.plan, clock), leaving.plan->computed()};
  }

 private:
  // Where nothing travels between ranks, there is nothing to overlap.
  static int64_t chunks(const MoELayerInputs& inputs, const Mesh& mesh) {
    return mesh.ep_node_group().size() > 1 ? inputs.config.overlap : 1;
  }

  Dispatcher dispatcher_;
};

// For tests: the experts of the last token are not called.
void lose_last_token(SparseAssignment& assignment) {
  if (assignment.tokens == 0) return;
  const auto begin = assignment.token_begin[static_cast<size_t>(assignment.tokens) - 1];
  std::fill(assignment.kept.begin() + begin, assignment.kept.end(), uint8_t{0});
}

// A token crosses to each node once, for all of its experts there.
class AcrossNodes final : public RowMover {
 public:
  AcrossNodes(const MoELayerInputs& inputs, const Mesh& mesh, std::vector<int> nodes)
      : loses_token_(mesh.parallelism().planted == PlantedBug::lost_token_in_second_hop),
        hop_(Placement::identity(inputs.config.experts, mesh.size(Axis::ep)), std::move(nodes),
             mesh.group(Axis::ep), inputs.name),
        on_node_(inputs, mesh, hop_.placement_on_node()) {}

  Result through(const Tensor& own_TD, const SparseAssignment& assignment, Experts& experts,
                 PhaseClock* clock) override {
    NodeHop::Arrived arrived = hop_.out(own_TD, assignment, clock);
    if (loses_token_) lose_last_token(arrived.assignment);
    const Result done = on_node_.through(arrived.x_AD, arrived.assignment, experts, clock);
    return {hop_.back(done.y_TD, *arrived.plan, clock), done.rows};
  }

 private:
  bool loses_token_;  // planted (parallel/mesh/planted_bug.h)
  NodeHop hop_;
  OnNode on_node_;
};

}  // namespace

std::unique_ptr<RowMover> make_row_mover(const MoELayerInputs& inputs, const Mesh& mesh) {
  std::vector<int> nodes = mesh.ep_nodes();
  if (*std::max_element(nodes.begin(), nodes.end()) > 0)
    return std::make_unique<AcrossNodes>(inputs, mesh, std::move(nodes));
  return std::make_unique<OnNode>(inputs, mesh,
                                  Placement::identity(inputs.config.experts, mesh.size(Axis::ep)));
}

}  // namespace troupe
