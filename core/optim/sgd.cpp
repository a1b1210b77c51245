#include "core/optim/sgd.h"

#include "core/optim/rule_parts.h"

namespace troupe {

FieldList sgd_fields() {
  Field momentum = make_field("momentum", FieldType::real, 0.0,
                              "Share of the last update's direction that is kept; 0 = none.");
  momentum.minimum = 0;
  momentum.maximum = 1;
  return {momentum, weight_decay_field()};
}

int sgd_moments(const Options& options) { return options.real("momentum") > 0 ? 1 : 0; }

Sgd::Sgd(const Options& options, std::vector<Parameter*> parameters,
         const std::vector<ParameterGroup>& groups)
    : Optimizer(std::move(parameters), options.real("weight_decay"), groups),
      momentum_(options.real("momentum")),
      steps_(rates().size()) {
  if (sgd_moments(options) > 0) buffers_ = make_moments();
}

void Sgd::prepare(double lr, double gradient_scale) {
  for (size_t i = 0; i < steps_.size(); ++i) {
    kernels::SgdStep& step = steps_[i];
    step.lr = lr * rates()[i].lr_scale;
    step.momentum = momentum_;
    step.gradient_scale = gradient_scale;
    step.decay = 1.0 - step.lr * rates()[i].weight_decay;
  }
}

void Sgd::update(std::span<const size_t> parameters) {
  std::vector<kernels::SgdRange> ranges;
  for (size_t i : parameters) {
    Parameter& parameter = *parameters_[i];
    if (parameter.owned().count == 0) continue;
    ranges.push_back({parameter.owned_value().view(), parameter.owned_gradient().view(),
                      buffers_.empty() ? View{} : buffers_[i].view(), steps_[rates_of(i)],
                      packed_of(parameter)});
  }
  kernels::sgd(stream(), ranges);
}

void Sgd::state(State& state) {
  Optimizer::state(state);
  if (!buffers_.empty()) append(state, "first_moment", buffers_);
}

}  // namespace troupe
