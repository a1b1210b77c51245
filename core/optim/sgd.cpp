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

Sgd::Sgd(const Options& options, std::vector<Parameter*> parameters)
    : Optimizer(std::move(parameters)),
      momentum_(options.real("momentum")),
      weight_decay_(options.real("weight_decay")) {
  if (sgd_moments(options) > 0) buffers_ = make_moments();
}

void Sgd::prepare(double lr, double gradient_scale) {
  step_.lr = lr;
  step_.momentum = momentum_;
  step_.gradient_scale = gradient_scale;
  step_.decay = 1.0 - lr * weight_decay_;
  step_without_decay_ = step_;
  step_without_decay_.decay = 1.0;
}

void Sgd::update(size_t index, int64_t begin, int64_t count) {
  const Parameter& parameter = *parameters_[index];
  const int64_t owned = begin - parameter.owned().begin;
  kernels::sgd(parameter.value().dtype(), element(parameter.owned_value(), owned),
               element(parameter.owned_gradient(), owned),
               buffers_.empty() ? nullptr : element(buffers_[index], owned), count,
               parameter.decays() ? step_ : step_without_decay_);
}

void Sgd::state(State& state) {
  Optimizer::state(state);
  if (!buffers_.empty()) append(state, "first_moment", buffers_);
}

}  // namespace troupe
