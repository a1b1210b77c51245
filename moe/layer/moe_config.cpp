#include "moe/layer/moe_config.h"

#include "moe/routers/table.h"

namespace troupe {

bool sees_the_future(const MoEConfig& moe) {
  const bool experts_choose = router_named(moe.router).choices(moe.router_options) == 0;
  return experts_choose && sees_the_future(moe.group);
}

RouterStats no_stats(const MoEConfig& moe) {
  const RouterDescriptor& router = router_named(moe.router);
  const bool load = router.gives_load != nullptr && router.gives_load(moe.router_options);
  return RouterStats::zeros(moe.experts,
                            {router.balance_by_first_choice, router.gives_probabilities, load});
}

}  // namespace troupe
