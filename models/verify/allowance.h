// How far a layout may be from one rank where it trains the same model.
#pragma once

#include <vector>

#include "models/verify/difference.h"
#include "models/verify/layout_run.h"

namespace troupe {

// Allowed differences: f64 1e-10. f32, with the decisions of one rank's routers replayed: 1e-5, for
// parameters under AdamW 1e-3. bf16, replayed: 3e-2 of each tensor's norm. Where that is more, what
// the precision itself does to a tensor on one rank: in bf16 thrice (against f32), in f32 ten times
// (against f64), at most 1e-2.
double tolerance_of(DType compute);

// Tensors are compared in the maximum norm; in bf16, where one element may be off by much of itself
// while the tensor is not, in the 2-norm.
laws::Norm norm_of(DType compute);

struct Allowance {
  std::vector<double> gradients;  // of each tensor of the reference, as a share of its norm
  std::vector<double> parameters;
  double first_norm = 0;  // of all gradients of the first step
  double totals = 0;      // losses and norms after the first step
};

// `reference`: one rank's run; `precise`: the same in the next better precision with the same
// routing, which f64 has not.
Allowance allowance_of(const EngineConfig& engine, const laws::LawResult& reference,
                       const laws::LawResult* precise);

// |a - b| / |a|, where |a| counts as at least `floor`.
double relative(double a, double b, double floor);

}  // namespace troupe
