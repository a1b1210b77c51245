// Counting what a layer did in one micro-batch.
#pragma once

#include "core/nn/token_context.h"
#include "moe/routers/router.h"
#include "moe/routers/router_stats.h"

namespace troupe {

// Everything but `rows`, of the statistics that `none` has room for. assignment: that of `routing`
// with its drops.
RouterStats count_routing(const Routing& routing, const SparseAssignment& assignment,
                          const TokenContext& context, RouterStats none);

}  // namespace troupe
