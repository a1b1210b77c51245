// All routers: those of this build, and what a program adds that uses the library. The table of the
// build is written by CMake from the files of moe/routers: a file `name.cpp` gives
// `RouterDescriptor router_name()`.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "moe/routers/router.h"

namespace troupe {

const std::deque<RouterDescriptor>& routers();
// A router of the program's own, under a name that is free: else Error(usage). Before models are
// made, and by one thread.
void add_router(RouterDescriptor router);
// Null when there is none of this name.
const RouterDescriptor* find_router(const std::string& name);
// Of one that is known to be there: anything else is a bug.
const RouterDescriptor& router_named(const std::string& name);

// The parameters of a router with these options.
std::vector<ParameterSpec> router_parameters(const RouterDescriptor& router, const Options& options,
                                             const RouterInputs& inputs);
// A router with its parameters, drawn with the maker's seed.
std::unique_ptr<Router> make_router(const RouterDescriptor& router, const Options& options,
                                    RouterInputs inputs, const ParameterMaker& maker);
// Groups of consecutive experts, 1 where the router knows none.
int64_t router_groups(const RouterDescriptor& router, const Options& options);
// balance_terms: how many are on.
RouterMemory router_memory(const RouterDescriptor& router, const Options& options, int64_t experts,
                           int64_t balance_terms);
// Of rate 0 where the router has none.
LoadBias router_load_bias(const RouterDescriptor& router, const Options& options, int64_t experts);

}  // namespace troupe
