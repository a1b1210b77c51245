// How the rows of own tokens get to the routed experts and back.
#pragma once

#include <memory>

#include "core/base/phase_clock.h"
#include "moe/dispatch/assignment.h"
#include "moe/experts/experts.h"
#include "moe/layer/moe_layer.h"

namespace troupe {

class RowMover {
 public:
  virtual ~RowMover() = default;

  struct Result {
    Tensor y_TD;       // of each token the sum of its experts' weighted outputs
    int64_t rows = 0;  // computed by the experts of this rank
  };
  // Collective over ep and etp. The experts outlive backward.
  virtual Result through(const Tensor& own_TD, const SparseAssignment& assignment, Experts& experts,
                         PhaseClock* clock) = 0;
};

// Straight to the ranks of the experts, or with a hop between nodes in front.
std::unique_ptr<RowMover> make_row_mover(const MoELayerInputs& inputs, const Mesh& mesh);

}  // namespace troupe
