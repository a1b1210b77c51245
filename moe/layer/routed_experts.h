// Exchange and expert products in chunks of the local experts: while one chunk is computed, the
// rows of the next one travel there and those of the one before travel back, in forward and in
// backward. Chunks are whole experts, so no sum changes: the bits are those of one chunk. On a rank
// that has all experts there is one chunk, and its rows are not copied.
#pragma once

#include "core/base/phase_clock.h"
#include "moe/dispatch/dispatcher.h"
#include "moe/experts/experts.h"

namespace troupe {

// Leaving rows -> the experts' results of them, home again in the same order: [S, D]. Collective
// over ep and etp. The dispatcher's groups and the experts outlive backward.
Tensor routed_experts(const PermutedRows& leaving, const Dispatcher& dispatcher, Experts& experts,
                      PhaseClock* clock);

}  // namespace troupe
