// What a MoE layer knows of its experts: routed ones are networks on rows that stand sorted by
// expert, shared ones a network on every row. Which kind they are of is chosen in expert_kind.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/parameter/parameter.h"

namespace troupe {

// Sizes and names of the routed or of the shared experts of a layer.
struct ExpertInputs {
  int64_t experts = 0;
  int64_t dim = 0;
  int64_t ffn_dim = 0;
  std::string name;     // parameters are called NAME.something
  double active = 1.0;  // share of them that one token reads
};

// Some consecutive experts of a rank, off the tape: for a node that orders messages and products
// itself. Announces no use of the weights.
class ExpertsPart {
 public:
  virtual ~ExpertsPart() = default;
  // Rows sorted by local expert, each multiplied by its gate weight: [R, D] -> [R, D]. With etp
  // each rank gives a part of the sum over the hidden width. keep: gradients will be asked for.
  virtual Tensor forward(const Tensor& x_RD, const Tensor& weight_R, bool keep) = 0;
  // Of x and of the gate weights; once, after a forward that kept.
  virtual std::pair<Tensor, Tensor> gradient(const Tensor& dy_RD) = 0;
  // The rows' share of the gradient of Experts::weights()[weight], after gradient(); target: what
  // begin_accumulate of the parameter gave. fresh: overwrite the part's experts instead of adding.
  virtual void add_gradient(size_t weight, const Tensor& target, bool fresh) = 0;
};

class Experts {
 public:
  virtual ~Experts() = default;
  // rows_per_expert: [experts of the rank], zero outside [first, first + experts).
  virtual std::unique_ptr<ExpertsPart> part(int64_t first, int64_t experts,
                                            const std::vector<int64_t>& rows_per_expert) = 0;
  // In the order in which backward takes their gradients.
  virtual std::vector<Parameter*> weights() = 0;
  virtual void parameters(const std::function<void(Parameter&)>& visit) = 0;
};

// Experts that every token visits with weight 1.
class SharedExperts {
 public:
  virtual ~SharedExperts() = default;
  // Stream rows in and out. Collective over tp.
  virtual Tensor forward(const Tensor& x_TD) = 0;
  virtual void parameters(const std::function<void(Parameter&)>& visit) = 0;
};

}  // namespace troupe
