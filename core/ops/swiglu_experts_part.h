// swiglu_experts in pieces, for a caller that records one node of the tape around several of them
// (exchange of rows between products): the rows of some consecutive experts of a bank.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/autograd/tape.h"
#include "core/parameter/parameter.h"

namespace troupe {

class SwigluExpertsPart {
 public:
  // rows_per_expert: [experts of the bank], zero outside [first, first + experts). Records nothing
  // and announces no use of the parameters: the caller does. They must outlive this.
  SwigluExpertsPart(Parameter& w_gate_up, Parameter& w_down, int64_t first, int64_t experts,
                    std::vector<int64_t> rows_per_expert);

  // As swiglu_experts. keep: gradients will be asked for. x and gate weights may not change before.
  Tensor forward(const Tensor& x_RD, const Tensor& gate_weight_R, bool keep);

  struct Gradients {
    Tensor x_RD;         // undefined where not wanted
    Tensor gate_weight;  // [R]
  };
  // Once, after a forward that kept.
  Gradients gradient(const Tensor& dy_RD, bool want_x, bool want_gate_weight);

  // Adds the rows' share to the main gradients, after gradient(); target: what begin_accumulate of
  // the parameter gave. fresh: overwrite the part's experts instead of adding.
  void add_down_gradient(const Tensor& target, bool fresh);
  void add_gate_up_gradient(const Tensor& target, bool fresh);

 private:
  // Operands of a weight gradient: rows where products are own, else the forms that these read.
  struct Operands {
    Tensor left, right;
    bool left_filled = false, right_filled = false;  // of rows: expert e begins at a filled row
  };
  void add(const Tensor& target, bool fresh, Operands& operands) const;
  void make_operands(const Tensor& dy);
  Parameter& gate_up_;
  Parameter& down_;
  int64_t first_;
  int64_t experts_;
  std::vector<int64_t> counts_;
  Saved x_{Tensor()};
  Saved gate_weight_{Tensor()};
  Tensor hidden_;
  Operands down_operands_;
  Operands gate_up_operands_;
};

}  // namespace troupe
