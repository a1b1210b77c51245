#include "core/optim/optimizer.h"

#include <algorithm>
#include <numeric>

#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/packed_weights.h"
#include "core/optim/adamw.h"
#include "core/optim/sgd.h"
#include "core/tensor/host_memory.h"

namespace troupe {
namespace {

template <typename Kind>
std::unique_ptr<Optimizer> make(const Options& options, std::vector<Parameter*> parameters,
                                const std::vector<ParameterGroup>& groups) {
  return std::make_unique<Kind>(options, std::move(parameters), groups);
}

const OptimizerKind& find_kind(const std::string& type) {
  for (const OptimizerKind& kind : optimizers()) {
    if (kind.name == type) return kind;
  }
  fail(ExitCode::usage, "optimizer {}: choose adamw or sgd", type);
}

}  // namespace

Optimizer::Optimizer(std::vector<Parameter*> parameters, double weight_decay,
                     const std::vector<ParameterGroup>& groups)
    : parameters_(std::move(parameters)) {
  require(!parameters_.empty(), "an optimizer without parameters");
  for (const Parameter* parameter : parameters_) {
    Rates rates{1.0, weight_decay};
    if (const std::optional<size_t> group = group_of(groups, parameter->name())) {
      rates.lr_scale = groups[*group].lr_scale;
      rates.weight_decay = groups[*group].weight_decay.value_or(weight_decay);
    }
    if (!parameter->decays()) rates.weight_decay = 0.0;
    const auto known = std::find(rates_.begin(), rates_.end(), rates);
    rates_of_.push_back(static_cast<size_t>(known - rates_.begin()));
    if (known == rates_.end()) rates_.push_back(rates);
  }
  updates_ =
      Tensor::zeros({1}, DType::i64, parameters_[0]->value().device(), MemoryKind::optimizer);
}

int64_t Optimizer::updates() const { return host_copy<int64_t>(updates_)[0]; }

void Optimizer::step(double lr, double gradient_scale) {
  std::vector<size_t> all(parameters_.size());
  std::iota(all.begin(), all.end(), size_t{0});
  begin_step(lr, gradient_scale);
  update_parameters(all);
}

void Optimizer::begin_step(double lr, double gradient_scale) {
  ++host_update<int64_t>(updates_)[0];
  prepare(lr, gradient_scale);
}

void Optimizer::update_parameters(std::span<const size_t> parameters) {
  const Operator op("optimizer update", parameters_[0]->value().stream());
  for (size_t i : parameters) parameters_[i]->finish_gradient();
  update(parameters);
  for (size_t i : parameters) {
    Parameter& parameter = *parameters_[i];
    parameter.value_changed();
    if (PackedWeights* packed = packed_of(parameter)) packed->written(parameter.version());
  }
}

PackedWeights* Optimizer::packed_of(Parameter& parameter) {
  const bool owns_all = parameter.owned().count == parameter.value().elements();
  return owns_all ? parameter.existing_forms() : nullptr;
}

std::vector<Tensor> Optimizer::make_moments() const {
  std::vector<Tensor> moments;
  for (const Parameter* parameter : parameters_) {
    const Tensor& value = parameter->value();
    moments.push_back(Tensor::zeros({parameter->owned().count}, value.dtype(), value.device(),
                                    MemoryKind::optimizer));
  }
  return moments;
}

void Optimizer::append(State& state, const std::string& what,
                       const std::vector<Tensor>& moments) const {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = *parameters_[i];
    append_range(state, "optimizer/" + what + "/" + parameter.name(), parameter.layout(),
                 parameter.slice(), parameter.owned(), moments[i]);
  }
}

void Optimizer::state(State& state) {
  const Shape one{1};
  state.tensors.push_back({"optimizer/updates", Layout::replicated(one, MeshKind::attention, {}),
                           Box{{0}, one}, updates_});
}

const std::vector<OptimizerKind>& optimizers() {
  static const std::vector<OptimizerKind> kinds = {
      {"adamw", "Adam with decoupled weight decay.", adamw_fields(), adamw_moments, make<AdamW>},
      {"sgd", "Stochastic gradient descent with decoupled weight decay.", sgd_fields(), sgd_moments,
       make<Sgd>},
  };
  return kinds;
}

const FieldList& optimizer_fields(const std::string& type) { return find_kind(type).fields; }

int optimizer_moments(const std::string& type, const Options& options) {
  return find_kind(type).moments(options);
}

std::unique_ptr<Optimizer> make_optimizer(const std::string& type, const Options& options,
                                          std::vector<Parameter*> parameters,
                                          const std::vector<ParameterGroup>& groups) {
  return find_kind(type).make(options, std::move(parameters), groups);
}

}  // namespace troupe
