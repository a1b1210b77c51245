// Optimizers: a pure update of flat ranges of the parameters, in one fused pass that also clips,
// decays and renews the packed compute forms of each weight while it is in cache.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/field.h"
#include "core/optim/parameter_groups.h"
#include "core/parameter/parameter.h"
#include "core/parameter/state.h"

namespace troupe {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update of all parameters from their main gradients times gradient_scale (the clip scale). A
  // parameter without a gradient in this step counts as one with a gradient of zero.
  void step(double lr, double gradient_scale = 1.0);
  // The same in parts: begin_step once, then every parameter (by its place in the list) once. Only
  // the elements that a parameter says this rank owns are updated.
  void begin_step(double lr, double gradient_scale = 1.0);
  void update_parameters(std::span<const size_t> parameters);
  // Updates made so far, over all runs.
  int64_t updates() const;
  // Appends what this rank owns of the moments ("optimizer/first_moment/<parameter>") and the count
  // of updates ("optimizer/updates", i64 [1]). A load writes them in place; nothing else to do.
  virtual void state(State& state);

 protected:
  // What a parameter may have of its own.
  struct Rates {
    double lr_scale = 1.0;
    double weight_decay = 0.0;
    bool operator==(const Rates& other) const = default;
  };
  // weight_decay: of parameters that decay and whose group, if any, says nothing else.
  Optimizer(std::vector<Parameter*> parameters, double weight_decay,
            const std::vector<ParameterGroup>& groups);
  // Those that occur, each once; and which of them a parameter has.
  const std::vector<Rates>& rates() const { return rates_; }
  size_t rates_of(size_t parameter) const { return rates_of_[parameter]; }
  // Called once per step before the ranges.
  virtual void prepare(double lr, double gradient_scale) = 0;
  // Updates the owned elements of these parameters: one kernel call.
  virtual void update(std::span<const size_t> parameters) = 0;
  // The packed copies that the kernel renews with the value; null = none, or not by this rank.
  static PackedWeights* packed_of(Parameter& parameter);
  Stream& stream() const { return parameters_[0]->value().stream(); }
  // Zeros for the owned elements of each parameter, in its type.
  std::vector<Tensor> make_moments() const;
  void append(State& state, const std::string& what, const std::vector<Tensor>& moments) const;

  std::vector<Parameter*> parameters_;

 private:
  std::vector<Rates> rates_;
  std::vector<size_t> rates_of_;  // per parameter
  Tensor updates_;
};

// What a configuration may choose.
struct OptimizerKind {
  std::string name;
  std::string help;  // one sentence
  FieldList fields;  // its own options
  // Numbers that it keeps for each element of a parameter.
  int (*moments)(const Options& options) = nullptr;
  std::unique_ptr<Optimizer> (*make)(const Options& options, std::vector<Parameter*> parameters,
                                     const std::vector<ParameterGroup>& groups) = nullptr;
};
const std::vector<OptimizerKind>& optimizers();
// Options of one kind (learning rate and clipping are not the optimizer's). Throws Error(usage) for
// an unknown name.
const FieldList& optimizer_fields(const std::string& type);
int optimizer_moments(const std::string& type, const Options& options);

// type: "adamw" or "sgd". The parameters must outlive the optimizer. A parameter is updated as the
// first group says that matches its name; one that no group matches, by the options alone.
std::unique_ptr<Optimizer> make_optimizer(const std::string& type, const Options& options,
                                          std::vector<Parameter*> parameters,
                                          const std::vector<ParameterGroup>& groups = {});

}  // namespace troupe
