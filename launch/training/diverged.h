// What is said of a run whose numbers are no longer finite.
#pragma once

#include <string>

#include "models/engine/training_engine.h"

namespace troupe {

// "nan", "inf" or the number; never "-nan".
std::string plain_number(double x);

// Throw Error(numbers): what happened at this step (counted from 1), and which keys may help.
[[noreturn]] void fail_diverged(const EngineConfig& config, int64_t step, const StepResult& result);
[[noreturn]] void fail_diverged(const EngineConfig& config, int64_t step, double held_out_loss);

}  // namespace troupe
