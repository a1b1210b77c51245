// precision.compute: auto: bf16 where the processor of every rank multiplies it, else f32.
#pragma once

#include <memory>
#include <string>

#include "core/device/device.h"
#include "launch/config/run_config.h"
#include "launch/training/rank_runtime.h"
#include "parallel/comm/communicator.h"

namespace troupe {

// Sets precision.compute alike on all ranks if it is auto. own: whether this rank's processor
// multiplies bf16; returns whether every rank's does. Collective.
bool agree_on_precision(RunConfig& config, bool own, Communicator& world,
                        const std::shared_ptr<Device>& device);
bool agree_on_precision(RunConfig& config, const RankRuntime& runtime);

// A run that goes on keeps the precision that it began with.
void keep_precision(RunConfig& config, const RunConfig& stored);

// "bf16", or "bf16 (auto)".
std::string describe_precision(const RunConfig& config);

// What to say of a run in bf16 where not every processor multiplies it; empty = nothing.
std::string slow_precision(const RunConfig& config, bool every_rank_multiplies_bf16, bool resumed);

}  // namespace troupe
