#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/save_job.h"

namespace troupe::checkpoint {

void save(const std::string& path, const State& state, Communicator& world,
          const SaveOptions& options) {
  const auto plan = std::make_shared<const CoveragePlan>(gather_plan(state, true, world));
  SaveJob job({path, plan, state.scalars, options}, own_shares(*plan, state, world.rank()), world);
  do {
    job.work();
  } while (!job.advance());
}

}  // namespace troupe::checkpoint
