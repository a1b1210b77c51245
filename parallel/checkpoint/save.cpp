#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/host_state.h"
#include "parallel/checkpoint/save_job.h"

namespace troupe::checkpoint {

void save(const std::string& path, const State& state, Communicator& world,
          const SaveOptions& options) {
  SaveRequest request;
  request.path = path;
  request.options = options;
  save(std::move(request), state, world);
}

void save(SaveRequest request, const State& state, Communicator& world) {
  request.plan = std::make_shared<const CoveragePlan>(gather_plan(state, true, world));
  request.scalars = state.scalars;
  const State host = host_state(state);
  std::vector<OwnShare> shares = own_shares(*request.plan, host, world.rank());
  SaveJob job(std::move(request), std::move(shares), world);
  do {
    job.work();
  } while (!job.advance());
}

}  // namespace troupe::checkpoint
