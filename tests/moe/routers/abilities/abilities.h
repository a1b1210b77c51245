// Routers that no run has: each does one thing that routers of the literature do and those of
// moe/routers do not, through the contract alone (moe/routers/router.h).
#pragma once

#include "moe/routers/router.h"

namespace troupe::testing {

RouterDescriptor reads_residual_router();  // scores the stream before the norm
RouterDescriptor keeps_state_router();     // a running mean of the load, against which it chooses
RouterDescriptor own_backward_router();    // weight 1, with the gradient of the probability
RouterDescriptor ragged_router();          // none to all experts a token
RouterDescriptor asks_chosen_router();     // weighs two experts by what they give
RouterDescriptor asks_all_router();        // chooses by what all experts give

// Adds them all, once.
void add_ability_routers();

// What all of them have in common: a matrix of scores.
RouterDescriptor described(const std::string& name, int64_t choices);

}  // namespace troupe::testing
