// The experts of one layer that this rank holds: a bank of SwiGLU networks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "moe/experts/experts.h"
#include "parallel/mesh/parameter_set.h"
#include "parallel/tp/region.h"

namespace troupe {

struct ExpertInputs {
  int64_t experts = 0;
  int64_t dim = 0;
  int64_t ffn_dim = 0;
  std::string name;     // parameters are NAME.gate_up and NAME.down
  double active = 1.0;  // share of them that one token reads
};

// Of routed experts: gate_up [E, 2F, D] (sections gate | up) and down [E, D, F], cut over ep in
// dim 0 and over etp in F; the gradient is partial over edp, whose ranks hold the same experts and
// other tokens.
std::vector<ParameterSpec> expert_parameters(const ExpertInputs& inputs,
                                             const ParameterContext& context);
// Of experts that every token visits with weight 1: `experts` networks of width ffn_dim are one of
// width experts * ffn_dim. gate_up [2F, D], down [D, F], on the attention mesh: F is cut over tp.
std::vector<ParameterSpec> shared_expert_parameters(const ExpertInputs& inputs,
                                                    const ParameterContext& context);

class ExpertBank final : public Experts {
 public:
  // Made from expert_parameters.
  ExpertBank(const ExpertInputs& inputs, const ParameterContext& context,
             const ParameterMaker& maker);
  Tensor forward(const Tensor& x_RD, std::span<const int64_t> rows_per_expert,
                 const Tensor& weight_R) override;
  std::unique_ptr<ExpertsPart> part(int64_t first, int64_t experts,
                                    const std::vector<int64_t>& rows_per_expert) override;
  std::vector<Parameter*> weights() override { return {&down_, &gate_up_}; }
  void parameters(const std::function<void(Parameter&)>& visit) override {
    parameters_.visit(visit);
  }

 private:
  ParameterSet parameters_;
  Parameter& gate_up_;
  Parameter& down_;
};

class SharedExperts {
 public:
  // Made from shared_expert_parameters.
  SharedExperts(const ExpertInputs& inputs, const ParameterContext& context,
                const ParameterMaker& maker);
  // Stream rows in and out.
  Tensor forward(const Tensor& x_TD);
  void parameters(const std::function<void(Parameter&)>& visit) { parameters_.visit(visit); }

 private:
  std::string name_;
  TensorRegion region_;
  ParameterSet parameters_;
  Parameter& gate_up_;
  Parameter& down_;
};

}  // namespace troupe
