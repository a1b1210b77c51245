// One MoE layer on one rank, and the balance terms that are legal for a case.
#pragma once

#include <vector>

#include "parallel/comm/self_communicator.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/moe/layer/fixture.h"

namespace troupe::testing {

inline std::vector<BalanceTerm> terms(const LayerCase& given, std::vector<BalanceScope> scopes) {
  std::vector<BalanceTerm> out;
  for (const char* type : {"switch", "z", "importance", "load"}) {
    for (const BalanceScope scope : scopes) {
      const BalanceTerm term{type, 0.3, scope};
      if (balance_problem(term, given.inputs.config.router, given.inputs.config.router_options)
              .empty())
        out.push_back(term);
    }
  }
  return out;
}

struct OneLayer {
  explicit OneLayer(const MoELayerInputs& inputs)
      : mesh(MeshShape(), self_communicator()), layer(inputs, mesh, test_device()) {
    layer.parameters([](Parameter& p) { p.initialize(123); });
  }
  std::vector<std::vector<double>> state() {
    State state;
    layer.state(state);
    std::vector<std::vector<double>> out;
    for (const StateTensor& entry : state.tensors) {
      if (is_floating(entry.tensor.dtype())) out.push_back(entry.tensor.values());
    }
    return out;
  }
  Mesh mesh;
  MoELayer layer;
};

}  // namespace troupe::testing
