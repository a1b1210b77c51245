#include "launch/training/rank_runtime.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "core/base/log.h"
#include "core/base/usable_cores.h"
#include "launch/config/load.h"
#include "parallel/comm/agreement.h"
#include "parallel/comm/mpi/mpi_world.h"
#include "parallel/comm/self_communicator.h"

namespace troupe {
namespace {

// What the paths of the configuration need of the leader's environment. Collective.
Environment leaders_environment(const std::string& config_file,
                                const std::vector<std::string>& overrides, Communicator& world) {
  std::string block;  // NAME=VALUE and a zero byte for each
  if (world.rank() == 0) {
    for (const auto& [name, value] : path_variables(config_file, overrides))
      block += name + "=" + value + '\0';
  }
  block = broadcast_text(block, 0, world, "variables of paths");
  std::map<std::string, std::string> values;
  for (size_t at = 0; at < block.size();) {
    const std::string entry(block.c_str() + at);
    const size_t equals = entry.find('=');
    values[entry.substr(0, equals)] = entry.substr(equals + 1);
    at += entry.size() + 1;
  }
  return told_environment(std::move(values));
}

}  // namespace

int automatic_threads(int local_ranks) {
  if (const char* given = std::getenv("OMP_NUM_THREADS")) {
    const long threads = std::strtol(given, nullptr, 10);
    if (threads > 0 && threads <= 4096) return static_cast<int>(threads);
  }
  return std::max(usable_cores() / std::max(local_ranks, 1), 1);
}

RankRuntime::RankRuntime() : RankRuntime(RuntimeConfig{}.timeout) {}

// One rank alone waits for nobody, and its configuration may be a pipe, which is read once.
RankRuntime::RankRuntime(const std::string& config_file, const std::vector<std::string>& overrides)
    : RankRuntime(started_by_mpi() ? runtime_timeout(config_file, overrides)
                                   : RuntimeConfig{}.timeout) {
  if (size() > 1) environment_ = leaders_environment(config_file, overrides, *world_);
}

RankRuntime::RankRuntime(std::chrono::milliseconds timeout) {
  if (started_by_mpi()) {
    CommOptions options;
    options.timeout = timeout;
    options.timeout_name = "runtime.timeout (eval: --timeout)";
    mpi_ = std::make_unique<MpiWorld>(options, timeout);
    world_ = mpi_->communicator();
    local_ranks_ = mpi_->local_ranks();
  } else {
    world_ = self_communicator();
  }
  log::configure(log::Level::info, rank(), leader());
}

void RankRuntime::configure(const RuntimeConfig& section) {
  world_->world().set_timeout(section.timeout);
  world_->world().set_check_collectives(section.check_collectives);
  threads_ = section.threads > 0 ? section.threads : automatic_threads(local_ranks_);
  const int cores = usable_cores();
  if (cores < threads_) {
    warnings_.push_back(
        fmt::format("this rank may run on {} core{} only but has {} threads: start mpirun with "
                    "--bind-to none, or set "
                    "runtime.threads={}",
                    cores, cores == 1 ? "" : "s", threads_, cores));
  }
  device_ = Device::cpu(threads_);
  world_->world().set_device(device_);
}

RankRuntime::~RankRuntime() = default;

}  // namespace troupe
