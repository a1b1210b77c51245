// Checkpoints read and write host memory. Where a state lies on a device that the host cannot read,
// copies of its tensors stand in for them; the device counts what crosses.
#pragma once

#include "core/parameter/state.h"

namespace troupe::checkpoint {

// The same state in host memory: itself where it is there already.
State host_state(const State& state);
// The same names and places, contents undefined where memory is new.
State empty_host_state(const State& state);
// Copies tensors that stood in for those of `state` over these.
void upload(const State& host, const State& state);

}  // namespace troupe::checkpoint
