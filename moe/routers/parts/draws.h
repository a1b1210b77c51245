// Random numbers of stochastic routing: pure functions of (seed, purpose, layer, global position).
#pragma once

#include <string>

#include "core/base/random.h"
#include "core/nn/token_context.h"
#include "moe/routers/router.h"

namespace troupe {

// [rows of x, dim] factors, uniform in [1 - epsilon, 1 + epsilon) (Fedus et al. 2021, section 2.4).
Tensor jitter_factors(const RouterInput& input, const std::string& layer, int64_t dim,
                      double epsilon, DType dtype, const std::shared_ptr<Device>& device);

// [tokens of the micro-batch, experts] standard normal numbers.
Tensor normal_noise(const TokenContext& context, const std::string& layer, int64_t experts,
                    DType dtype, const std::shared_ptr<Device>& device);

}  // namespace troupe
