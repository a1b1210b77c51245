#include "parallel/tp/region.h"

#include "parallel/collectives/collectives.h"

namespace troupe {

TensorRegion::TensorRegion(const Mesh& mesh)
    : tp_(mesh.group(Axis::tp)), sp_(mesh.parallelism().sp) {}

Tensor TensorRegion::enter(const Tensor& stream, const std::string& site) const {
  if (tp_.size() == 1) return stream;
  return sp_ ? all_gather_rows(stream, tp_, site) : copy_to_group(stream, tp_, site);
}

Tensor TensorRegion::leave(const Tensor& partial, const std::string& site) const {
  if (tp_.size() == 1) return partial;
  return sp_ ? reduce_scatter_rows(partial, tp_, site) : sum_over_group(partial, tp_, site);
}

}  // namespace troupe
