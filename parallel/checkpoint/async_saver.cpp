#include "parallel/checkpoint/async_saver.h"

#include <sys/resource.h>
#include <unistd.h>

#include <system_error>

#include "parallel/checkpoint/directory.h"
#include "parallel/checkpoint/host_state.h"

namespace troupe::checkpoint {
namespace {

// Training goes first: this thread takes what its threads leave. While a rank waits for a save, its
// cores are free for it.
void step_back() {
  constexpr int kNice = 15;  // a thirtieth of a busy core
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNice);
}

}  // namespace

AsyncSaver::AsyncSaver(std::shared_ptr<Communicator> world, const std::shared_ptr<Device>& device)
    : world_(std::move(world)), snapshot_(device->host_readable() ? device : Device::cpu(1)) {}

AsyncSaver::~AsyncSaver() { join(); }

void AsyncSaver::start(const std::string& run_dir, int64_t step, int64_t keep, const State& state,
                       const SaveOptions& options) {
  finish();
  SaveRequest request = step_request(run_dir, step, keep, options);
  request.plan = std::make_shared<const CoveragePlan>(gather_plan(state, true, *world_));
  request.scalars = state.scalars;
  std::vector<OwnShare> copied;
  agree(attempt([&] {
          copied = snapshot_.take(*request.plan,
                                  own_shares(*request.plan, host_state(state), world_->rank()));
        }),
        *world_, "checkpoint snapshot");
  job_ = std::make_unique<SaveJob>(std::move(request), std::move(copied), *world_);
  launch();
}

void AsyncSaver::launch() {
  through_.store(false, std::memory_order_relaxed);
  const auto run = [this] {
    job_->work();
    through_.store(true, std::memory_order_release);
  };
  if (!job_->has_work()) return run();
  try {
    worker_ = std::thread([run] {
      step_back();
      run();
    });
  } catch (const std::system_error&) {
    run();  // no thread to be had
  }
}

void AsyncSaver::join() {
  if (worker_.joinable()) worker_.join();
}

std::optional<std::string> AsyncSaver::advance() {
  if (!busy()) return std::nullopt;
  join();
  bool complete = false;
  try {
    complete = job_->advance();
  } catch (...) {
    job_.reset();
    throw;
  }
  if (!complete) {
    launch();
    return std::nullopt;
  }
  std::string path = job_->request().path;
  job_.reset();
  return path;
}

std::optional<std::string> AsyncSaver::finish() {
  std::optional<std::string> path;
  while (busy()) path = advance();
  return path;
}

}  // namespace troupe::checkpoint
