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

}  // namespace troupe
