// All routers of this build. The table is written by CMake from the files of moe/routers: a file
// `name.cpp` gives `RouterDescriptor router_name()`.
#pragma once

#include <string>
#include <vector>

#include "moe/routers/router.h"

namespace troupe {

const std::vector<RouterDescriptor>& routers();
// Null when there is none of this name.
const RouterDescriptor* find_router(const std::string& name);

// The learned matrices of a router with these options.
std::vector<RouterMatrix> router_matrices(const RouterDescriptor& router, const Options& options,
                                          int64_t experts);

}  // namespace troupe
