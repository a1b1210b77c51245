#include "moe/routers/table.h"

#include "core/base/error.h"
#include "moe/routers/parts/learned.h"

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

const RouterDescriptor& router_named(const std::string& name) {
  const RouterDescriptor* found = find_router(name);
  require(found != nullptr, "no router named {}", name);
  return *found;
}

std::vector<ParameterSpec> router_parameters(const RouterDescriptor& router, const Options& options,
                                             const RouterInputs& inputs) {
  if (router.parameters != nullptr) return router.parameters(options, inputs);
  if (!router.has_parameters) return {};
  return {router_matrix(inputs, "weight", inputs.experts, inputs.init_std)};
}

std::unique_ptr<Router> make_router(const RouterDescriptor& router, const Options& options,
                                    RouterInputs inputs, const ParameterMaker& maker) {
  inputs.device = maker.device;
  inputs.parameters =
      std::make_shared<ParameterSet>(router_parameters(router, options, inputs), maker);
  return router.make(options, inputs);
}

int64_t router_groups(const RouterDescriptor& router, const Options& options) {
  return router.groups != nullptr ? router.groups(options) : 1;
}

RouterMemory router_memory(const RouterDescriptor& router, const Options& options, int64_t experts,
                           int64_t balance_terms) {
  if (router.memory != nullptr) return router.memory(options, experts, balance_terms);
  RouterMemory memory;
  RouterInputs inputs;
  inputs.experts = experts;
  for (const ParameterSpec& matrix : router_parameters(router, options, inputs))
    memory.columns += (2 + balance_terms) * matrix.layout.global[0];
  return memory;
}

LoadBias router_load_bias(const RouterDescriptor& router, const Options& options, int64_t experts) {
  return router.load_bias != nullptr ? router.load_bias(options, experts) : LoadBias{};
}

}  // namespace troupe
