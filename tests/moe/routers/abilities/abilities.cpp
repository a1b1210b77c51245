#include "tests/moe/routers/abilities/abilities.h"

#include "moe/routers/table.h"

namespace troupe::testing {

RouterDescriptor described(const std::string& name, int64_t choices) {
  RouterDescriptor out;
  out.name = name;
  out.help = "for tests";
  out.choices = choices == 1   ? [](const Options&) { return int64_t{1}; }
                : choices == 2 ? [](const Options&) { return int64_t{2}; }
                               : [](const Options&) { return int64_t{3}; };
  out.problem = [](const Options&, int64_t) { return std::string(); };
  out.balance_problem = [](const std::string&, const Options&) { return std::string(); };
  return out;
}

void add_ability_routers() {
  if (find_router("reads_residual") != nullptr) return;
  add_router(reads_residual_router());
  add_router(keeps_state_router());
  add_router(own_backward_router());
  add_router(ragged_router());
  add_router(asks_chosen_router());
  add_router(asks_all_router());
}

}  // namespace troupe::testing
