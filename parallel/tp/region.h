// A tensor parallel region: between enter and leave every tp rank works on all attention rows with
// its part of the weights. Outside, the residual stream is cut over tp (sp) or the same on all tp
// ranks. Nothing is sent in a group of one rank.
#pragma once

#include <string>

#include "core/tensor/tensor.h"
#include "parallel/mesh/mesh.h"

namespace troupe {

class TensorRegion {
 public:
  // The mesh must outlive backward.
  explicit TensorRegion(const Mesh& mesh);

  // Stream rows [n, ...] -> attention rows. Gradients of the region's ranks are summed.
  Tensor enter(const Tensor& stream, const std::string& site) const;
  // Partial sums over attention rows, one per tp rank -> their sum as stream rows.
  Tensor leave(const Tensor& partial, const std::string& site) const;

  int size() const { return tp_.size(); }
  int rank() const { return tp_.rank(); }
  Communicator& group() const { return tp_; }

 private:
  Communicator& tp_;
  bool sp_;
};

}  // namespace troupe
