// Normalisation of rows, as a part that a family chooses.
#pragma once

#include <memory>

#include "core/tensor/tensor.h"
#include "models/parts/part.h"

namespace troupe {

class Norm {
 public:
  virtual ~Norm() = default;
  // Rows of the residual stream in and out.
  virtual Tensor forward(const Tensor& x_TD) const = 0;
  virtual void parameters(std::vector<Parameter*>& out) const = 0;
};

using NormPart = std::shared_ptr<const Part<Norm>>;

// NAME.weight
NormPart rms_norm_part(int64_t dim, double eps);
// NAME.weight, NAME.bias
NormPart layer_norm_part(int64_t dim, double eps);

}  // namespace troupe
