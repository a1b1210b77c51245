// The batches of training: what a sampler draws for a step, cut over the data ranks.
#pragma once

#include <cstdint>
#include <functional>

#include "core/text/sampler.h"
#include "models/engine/training_engine.h"

namespace troupe {

// The micro-batches of step `step` (from 0) on this rank, to be given to TrainingEngine::step.
// Engine and sampler must outlive it.
std::function<TokenBatch(int64_t micro)> sampled_batches(const TrainingEngine& engine,
                                                         Sampler& sampler, int64_t step);

}  // namespace troupe
