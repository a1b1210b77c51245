// Parameters for tests of ops: replicated, random, main value f32 (f64 under f64).
#pragma once

#include <memory>
#include <string>

#include "core/parameter/parameter.h"

namespace troupe::testing {

// Values: normal times spread, a pure function of (shape, key).
std::unique_ptr<Parameter> random_parameter(const Shape& shape, uint64_t key, DType compute,
                                            const std::shared_ptr<Device>& device,
                                            double spread = 1.0);

}  // namespace troupe::testing
