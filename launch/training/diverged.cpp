#include "launch/training/diverged.h"

#include <fmt/core.h>

#include <cmath>

#include "core/base/error.h"

namespace troupe {

std::string plain_number(double x) { return fmt::format("{}", std::isnan(x) ? std::abs(x) : x); }

void fail_diverged(const EngineConfig& config, int64_t step, const std::string& what) {
  fail(ExitCode::numbers,
       "step {}: {}. Lower optimizer.lr ({}), lengthen schedule.warmup or tighten optimizer.clip "
       "({})",
       step, what, config.lr, config.clip > 0 ? fmt::format("{}", config.clip) : "none");
}

}  // namespace troupe
