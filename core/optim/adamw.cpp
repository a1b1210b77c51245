#include "core/optim/adamw.h"

#include <cmath>

#include "core/base/error.h"
#include "core/optim/rule_parts.h"

namespace troupe {

FieldList adamw_fields() {
  Field betas = make_field("betas", FieldType::real_list, std::vector<double>{0.9, 0.95},
                           "Decay of the first and of the second moment per step, each in [0, 1).");
  betas.minimum = 0;
  betas.maximum = 0.9999999;
  Field eps = make_field("eps", FieldType::real, 1e-8, "Added to the root of the second moment.");
  eps.minimum = 0;
  eps.exclusive_minimum = true;
  eps.maximum = 1;
  return {betas, eps, weight_decay_field()};
}

int adamw_moments(const Options& /*options*/) { return 2; }

AdamW::AdamW(const Options& options, std::vector<Parameter*> parameters,
             const std::vector<ParameterGroup>& groups)
    : Optimizer(std::move(parameters), options.real("weight_decay"), groups),
      eps_(options.real("eps")),
      steps_(rates().size()),
      first_(make_moments()),
      second_(make_moments()) {
  const std::vector<double>& betas = options.reals("betas");
  if (betas.size() != 2) {
    fail(ExitCode::usage, "betas has {} values: give two, such as [0.9, 0.95]", betas.size());
  }
  beta1_ = betas[0];
  beta2_ = betas[1];
}

void AdamW::prepare(double lr, double gradient_scale) {
  const auto t = static_cast<double>(updates());
  for (size_t i = 0; i < steps_.size(); ++i) {
    const double own_lr = lr * rates()[i].lr_scale;
    kernels::AdamWStep& step = steps_[i];
    step.beta1 = beta1_;
    step.beta2 = beta2_;
    step.eps = eps_;
    step.step_size = own_lr / (1.0 - std::pow(beta1_, t));
    step.second_correction = 1.0 / (1.0 - std::pow(beta2_, t));
    step.gradient_scale = gradient_scale;
    step.decay = 1.0 - own_lr * rates()[i].weight_decay;
  }
}

void AdamW::update(std::span<const size_t> parameters) {
  std::vector<kernels::AdamWRange> ranges;
  for (size_t i : parameters) {
    Parameter& parameter = *parameters_[i];
    if (parameter.owned().count == 0) continue;
    ranges.push_back({parameter.owned_value().view(), parameter.owned_gradient().view(),
                      first_[i].view(), second_[i].view(), steps_[rates_of(i)],
                      packed_of(parameter)});
  }
  kernels::adamw(stream(), ranges);
}

void AdamW::state(State& state) {
  Optimizer::state(state);
  append(state, "first_moment", first_);
  append(state, "second_moment", second_);
}

}  // namespace troupe
