// Experts for tests of how rows get to them and back.
#pragma once

#include <memory>
#include <vector>

#include "moe/experts/experts.h"

namespace troupe::testing {

// The expert in slot s of a rank multiplies its rows by factor[s] and by their gate weights.
class ScalingExperts final : public Experts {
 public:
  explicit ScalingExperts(std::vector<double> factor) : factor_(std::move(factor)) {}
  std::unique_ptr<ExpertsPart> part(int64_t first, int64_t experts,
                                    const std::vector<int64_t>& rows_per_expert) override;
  std::vector<Parameter*> weights() override { return {}; }
  void parameters(const std::function<void(Parameter&)>& visit) override { (void)visit; }

 private:
  std::vector<double> factor_;
};

}  // namespace troupe::testing
