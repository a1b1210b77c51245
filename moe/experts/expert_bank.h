// The experts of one layer that this rank holds: a bank of SwiGLU networks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/parameter/parameter.h"
#include "parallel/mesh/mesh.h"
#include "parallel/tp/region.h"

namespace troupe {

struct ExpertInputs {
  int64_t experts = 0;
  int64_t dim = 0;
  int64_t ffn_dim = 0;
  std::string name;  // parameters are NAME.gate_up and NAME.down
  DType compute = DType::f32;
  double init_std = 0.02;
  double down_init_std = 0.02;
};

class ExpertBank {
 public:
  // gate_up [E, 2F, D] (sections gate | up) and down [E, D, F], cut over ep in dim 0 and over etp
  // in F; the gradient is partial over edp, whose ranks hold the same experts and other tokens.
  ExpertBank(const ExpertInputs& inputs, const Mesh& mesh, const std::shared_ptr<Device>& device);
  // rows sorted by local expert, weighted by their gate weights: [R, D] -> [R, D]. With etp each
  // rank gives a part of the sum over F.
  Tensor forward(const Tensor& x_RD, std::span<const int64_t> rows_per_expert,
                 const Tensor& weight_R);
  Parameter& gate_up() { return gate_up_; }
  Parameter& down() { return down_; }
  void parameters(const std::function<void(Parameter&)>& visit);

 private:
  Parameter gate_up_;
  Parameter down_;
};

// Experts that every token visits with weight 1: `experts` networks of width ffn_dim are one of
// width experts * ffn_dim. gate_up [2F, D], down [D, F], on the attention mesh: F is cut over tp.
class SharedExperts {
 public:
  SharedExperts(const ExpertInputs& inputs, const Mesh& mesh,
                const std::shared_ptr<Device>& device);
  // Stream rows in and out.
  Tensor forward(const Tensor& x_TD);
  void parameters(const std::function<void(Parameter&)>& visit);

 private:
  std::string name_;
  TensorRegion region_;
  Parameter gate_up_;
  Parameter down_;
};

}  // namespace troupe
