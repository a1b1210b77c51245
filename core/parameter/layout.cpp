#include "core/parameter/layout.h"

#include "core/base/error.h"

namespace troupe {

const char* name(Axis axis) {
  constexpr std::array<const char*, kAxes> names = {"pp", "dp", "cp", "tp", "edp", "ep", "etp"};
  return names[static_cast<size_t>(axis)];
}

AxisState Layout::state(Axis axis) const {
  for (const DimLayout& dim : dims) {
    for (const DimCut& cut : dim.cuts) {
      if (cut.axis == axis) return AxisState::shard;
    }
  }
  return AxisState::replicated;
}

Layout Layout::replicated(const Shape& global, MeshKind mesh, std::initializer_list<Axis> partial) {
  Layout out;
  out.global = global;
  out.dims.resize(static_cast<size_t>(global.rank()));
  out.mesh = mesh;
  for (Axis axis : partial) out.gradient_partial[static_cast<size_t>(axis)] = true;
  return out;
}

Layout& Layout::shard(int dim, Axis axis, Cut cut) {
  require(dim >= 0 && dim < global.rank(), "cut of dim {} of shape {}", dim, global.text());
  dims[static_cast<size_t>(dim)].cuts.push_back({axis, cut});
  gradient_partial[static_cast<size_t>(axis)] = false;
  return *this;
}

LocalSlice::LocalSlice(const Box& box) : shape(box.size) {
  if (box.size.elements() == 0) return;
  Shape origin = box.size;
  for (int dim = 0; dim < origin.rank(); ++dim) origin[dim] = 0;
  parts.push_back({box, origin});
}

}  // namespace troupe
