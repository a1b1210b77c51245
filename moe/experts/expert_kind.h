// The kinds of experts that a MoE layer can have. A kind is a file that makes one of these
// descriptions, and a line in expert_kind.cpp; nothing else knows one by name.
#pragma once

#include <memory>
#include <vector>

#include "moe/experts/experts.h"
#include "parallel/mesh/parameter_set.h"

namespace troupe {

struct ExpertKind {
  // The parameters as data, and the module that is made from them.
  std::vector<ParameterSpec> (*parameters)(const ExpertInputs& inputs,
                                           const ParameterContext& context) = nullptr;
  std::unique_ptr<Experts> (*make)(const ExpertInputs& inputs, const ParameterContext& context,
                                   const ParameterMaker& maker) = nullptr;
  // The same of shared experts.
  std::vector<ParameterSpec> (*shared_parameters)(const ExpertInputs& inputs,
                                                  const ParameterContext& context) = nullptr;
  std::unique_ptr<SharedExperts> (*make_shared)(const ExpertInputs& inputs,
                                                const ParameterContext& context,
                                                const ParameterMaker& maker) = nullptr;
};

// Banks of SwiGLU networks (swiglu_experts.cpp).
ExpertKind swiglu_expert_kind();

// The one choice of a kind. (There is one, which all inputs get.)
const ExpertKind& expert_kind(const ExpertInputs& inputs);

}  // namespace troupe
