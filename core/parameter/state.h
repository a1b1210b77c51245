// The state that a checkpoint keeps, as a list: modules, optimizer, router biases, sampler and
// schedule each give theirs; parallel/checkpoint knows only the list.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/parameter/layout.h"
#include "core/tensor/tensor.h"

namespace troupe {

// A box of a tensor of the global state, by logical name. `tensor` has the size of the box, any
// strides, and is written in place on load. A rank lists a name once for each box that it holds.
struct StateTensor {
  // "parameters/layers.0.moe.experts.gate_up", "optimizer/first_moment/...", "router/..."
  std::string name;
  Layout layout;
  Box box;
  Tensor tensor;
};

// A value that all ranks share.
struct StateScalar {
  std::string name;  // "step", "tokens", "seed", ...
  std::variant<int64_t, double, std::string> value;
};

struct State {
  std::vector<StateTensor> tensors;
  std::vector<StateScalar> scalars;
};

// Lists the boxes of a local tensor: a view of `tensor` for each part of `slice`.
void append_parts(State& state, const std::string& name, const Layout& layout,
                  const LocalSlice& slice, const Tensor& tensor);

// A tensor that every rank holds whole.
StateTensor replicated_state(const std::string& name, const Tensor& tensor);

}  // namespace troupe
