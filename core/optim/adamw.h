// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019): moments in the main
// type of each parameter, decay only where Parameter::decays() says so.
#pragma once

#include "core/kernels/optimizer.h"
#include "core/optim/optimizer.h"

namespace troupe {

FieldList adamw_fields();
int adamw_moments(const Options& options);

class AdamW final : public Optimizer {
 public:
  AdamW(const Options& options, std::vector<Parameter*> parameters,
        const std::vector<ParameterGroup>& groups);
  void state(State& state) override;

 private:
  void prepare(double lr, double gradient_scale) override;
  void update(std::span<const size_t> parameters) override;

  double beta1_;
  double beta2_;
  double eps_;
  std::vector<kernels::AdamWStep> steps_;  // one for each of rates()
  std::vector<Tensor> first_;
  std::vector<Tensor> second_;
};

}  // namespace troupe
