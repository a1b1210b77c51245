#include "moe/layer/moe_config.h"

#include "core/base/error.h"
#include "moe/routers/table.h"

namespace troupe {

bool sees_the_future(const MoEConfig& moe) {
  const RouterDescriptor* router = find_router(moe.router);
  require(router != nullptr, "no router named {}", moe.router);
  const bool experts_choose = router->choices(moe.router_options) == 0;
  return experts_choose && sees_the_future(moe.group);
}

}  // namespace troupe
