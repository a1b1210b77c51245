#include "moe/routers/table.h"

#include "core/base/error.h"

namespace troupe {

std::deque<RouterDescriptor> routers_of_this_build();  // written by cmake/descriptor_table.cmake

namespace {

std::deque<RouterDescriptor>& table() {
  static std::deque<RouterDescriptor> all = routers_of_this_build();
  return all;
}

}  // namespace

const std::deque<RouterDescriptor>& routers() { return table(); }

void add_router(RouterDescriptor router) {
  if (find_router(router.name) != nullptr) {
    fail(ExitCode::usage, "there is a router {} already: choose another name", router.name);
  }
  table().push_back(std::move(router));
}

const RouterDescriptor* find_router(const std::string& name) {
  for (const RouterDescriptor& router : routers()) {
    if (router.name == name) return &router;
  }
  return nullptr;
}

std::vector<RouterMatrix> router_matrices(const RouterDescriptor& router, const Options& options,
                                          int64_t experts) {
  if (router.matrices != nullptr) return router.matrices(options, experts);
  if (!router.has_parameters) return {};
  return {{"weight", experts}};
}

int64_t router_groups(const RouterDescriptor& router, const Options& options) {
  return router.groups != nullptr ? router.groups(options) : 1;
}

RouterMemory router_memory(const RouterDescriptor& router, const Options& options, int64_t experts,
                           int64_t balance_terms) {
  if (router.memory != nullptr) return router.memory(options, experts, balance_terms);
  RouterMemory memory;
  for (const RouterMatrix& matrix : router_matrices(router, options, experts))
    memory.columns += (2 + balance_terms) * matrix.rows;
  return memory;
}

LoadBias router_load_bias(const RouterDescriptor& router, const Options& options, int64_t experts) {
  return router.load_bias != nullptr ? router.load_bias(options, experts) : LoadBias{};
}

}  // namespace troupe
