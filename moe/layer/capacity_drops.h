// Routing under a capacity: which decisions of a router find no room.
#pragma once

#include "moe/dispatch/groups.h"
#include "moe/layer/moe_config.h"
#include "moe/routers/router.h"

namespace troupe {

// Marks as dropped what finds no room: on each level of the decision in turn, then at the experts.
// factor: of the capacity rule (moe/dispatch/capacity.h), that of training or of evaluation.
// assignment: that of `routing`.
void drop_over_capacity(const MoEConfig& config, const Router& router, const Groups& groups,
                        double factor, const Routing& routing, SparseAssignment& assignment);

}  // namespace troupe
