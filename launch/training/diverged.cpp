#include "launch/training/diverged.h"

#include <fmt/core.h>

#include <cmath>

#include "core/base/error.h"

namespace troupe {

std::string plain_number(double x) { return fmt::format("{}", std::isnan(x) ? std::abs(x) : x); }

namespace {

[[noreturn]] void fail_at(const EngineConfig& config, int64_t step, const std::string& what) {
  fail(ExitCode::numbers,
       "step {}: {}. Lower optimizer.lr ({}), lengthen schedule.warmup or tighten optimizer.clip "
       "({})",
       step, what, config.lr, config.clip > 0 ? fmt::format("{}", config.clip) : "none");
}

}  // namespace

void fail_diverged(const EngineConfig& config, int64_t step, const StepResult& result) {
  fail_at(config, step,
          fmt::format("the loss is {} and the gradient norm {}; training stops before this update, "
                      "and the checkpoints saved so far stay as they are",
                      plain_number(result.loss), plain_number(result.grad_norm)));
}

void fail_diverged(const EngineConfig& config, int64_t step, double held_out_loss) {
  fail_at(config, step,
          fmt::format("the held-out loss is {}: the weights that this step left are of no use; the "
                      "checkpoints saved so far stay as they are",
                      plain_number(held_out_loss)));
}

}  // namespace troupe
