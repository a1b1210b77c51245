// Optimizers: a pure update of flat ranges of the parameters, in one fused pass that also clips,
// decays and renews the packed compute forms of each weight while it is in cache.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/field.h"
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
  // Updates made so far, over all runs.
  int64_t updates() const;
  // Appends this rank's part of the moments ("optimizer/first_moment/<parameter>") and the count of
  // updates ("optimizer/updates", i64 [1]). A load writes them in place; nothing else to do.
  virtual void state(State& state);
  void state_loaded() {}

 protected:
  explicit Optimizer(std::vector<Parameter*> parameters);
  // Called once per step before the ranges.
  virtual void prepare(double lr, double gradient_scale) = 0;
  // Updates elements [begin, begin + count) of a parameter; called from several threads.
  virtual void update(size_t parameter, int64_t begin, int64_t count) = 0;
  // Zeros of each parameter's shape and type.
  std::vector<Tensor> make_moments() const;
  void append(State& state, const std::string& what, const std::vector<Tensor>& moments) const;

  std::vector<Parameter*> parameters_;

 private:
  Tensor updates_;
};

// What a configuration may choose: name, one sentence, own options.
struct OptimizerKind {
  std::string name;
  std::string help;
  FieldList fields;
};
const std::vector<OptimizerKind>& optimizers();
// Options of one kind (learning rate and clipping are not the optimizer's). Throws Error(usage) for
// an unknown name.
const FieldList& optimizer_fields(const std::string& type);

// type: "adamw" or "sgd". The parameters must outlive the optimizer.
std::unique_ptr<Optimizer> make_optimizer(const std::string& type, const Options& options,
                                          std::vector<Parameter*> parameters);

}  // namespace troupe
