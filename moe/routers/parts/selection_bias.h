// Loss-free balancing (Wang et al. 2024, arXiv:2408.15664): a bias per expert that is added to the
// scores for selection only, and moved once per step against the load.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/parameter/state.h"
#include "core/tensor/tensor.h"
#include "moe/routers/router.h"

namespace troupe {

class SelectionBias {
 public:
  // rate 0: no bias, no state.
  SelectionBias(double rate, int64_t experts, std::string name, DType dtype,
                const std::shared_ptr<Device>& device);
  bool active() const { return rate_ > 0.0; }
  // [experts], zeros when not active.
  const Tensor& tensor() const { return bias_; }
  // Adds rate * sign(mean - count) to each expert's bias, nothing on a tie. counts: pairs of the
  // whole batch before drops, without padding.
  void move(std::span<const int64_t> counts);
  void state(State& state) const;

 private:
  double rate_;
  std::string name_;
  Tensor bias_;
};

// Its option, and what the options say of it. mean_score: of what it is added to.
Field bias_update_field();
LoadBias selection_bias_of(const Options& options, double mean_score);

}  // namespace troupe
