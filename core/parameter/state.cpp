#include "core/parameter/state.h"

namespace troupe {

void append_parts(State& state, const std::string& name, const Layout& layout,
                  const LocalSlice& slice, const Tensor& tensor) {
  if (slice.parts.empty()) {  // the name is listed all the same: every rank tells of the tensor
    Shape origin = slice.shape;
    for (int dim = 0; dim < origin.rank(); ++dim) origin[dim] = 0;
    state.tensors.push_back({name, layout, Box{origin, slice.shape}, tensor});
  }
  for (const LocalPart& part : slice.parts) {
    int64_t offset = 0;
    for (int dim = 0; dim < part.local_offset.rank(); ++dim)
      offset += part.local_offset[dim] * tensor.strides()[dim];
    state.tensors.push_back(
        {name, layout, part.global, tensor.strided(part.global.size, tensor.strides(), offset)});
  }
}

StateTensor replicated_state(const std::string& name, const Tensor& tensor) {
  Shape origin = tensor.shape();
  for (int i = 0; i < origin.rank(); ++i) origin[i] = 0;
  return {name, Layout::replicated(tensor.shape(), MeshKind::attention, {}),
          Box{origin, tensor.shape()}, tensor};
}

}  // namespace troupe
