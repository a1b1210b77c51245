#include "moe/layer/moe_config.h"

#include "core/base/error.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

const RouterDescriptor& router_of(const MoEConfig& moe) {
  const RouterDescriptor* router = find_router(moe.router);
  require(router != nullptr, "no router named {}", moe.router);
  return *router;
}

}  // namespace

bool sees_the_future(const MoEConfig& moe) {
  const bool experts_choose = router_of(moe).choices(moe.router_options) == 0;
  return experts_choose && sees_the_future(moe.group);
}

RouterStats no_stats(const MoEConfig& moe) {
  const RouterDescriptor& router = router_of(moe);
  const bool load = router.gives_load != nullptr && router.gives_load(moe.router_options);
  return RouterStats::zeros(moe.experts, router.gives_probabilities, load);
}

}  // namespace troupe
