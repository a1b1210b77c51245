// Stochastic gradient descent with optional momentum and decoupled decay.
#pragma once

#include "core/kernels/optimizer.h"
#include "core/optim/optimizer.h"

namespace troupe {

FieldList sgd_fields();
int sgd_moments(const Options& options);

class Sgd final : public Optimizer {
 public:
  Sgd(const Options& options, std::vector<Parameter*> parameters,
      const std::vector<ParameterGroup>& groups);
  // "optimizer/first_moment/<parameter>" is the momentum buffer, absent without momentum.
  void state(State& state) override;

 private:
  void prepare(double lr, double gradient_scale) override;
  void update(std::span<const size_t> parameters) override;

  double momentum_;
  std::vector<kernels::SgdStep> steps_;  // one for each of rates()
  std::vector<Tensor> buffers_;          // empty without momentum
};

}  // namespace troupe
