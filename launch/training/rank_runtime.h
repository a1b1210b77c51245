// What one rank runs on: its world of ranks and its device. Made once in a command, handed down.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/device/device.h"
#include "launch/config/path_variables.h"
#include "parallel/comm/communicator.h"

namespace troupe {

class MpiWorld;
struct RuntimeConfig;

class RankRuntime {
 public:
  // Starts MPI if the process is part of an mpirun job, else it is one rank alone.
  RankRuntime();
  // The same; timeout: of the start and, until it is configured, of all operations.
  explicit RankRuntime(std::chrono::milliseconds timeout);
  // With runtime.timeout of this configuration, and with the leader's variables of its paths.
  RankRuntime(const std::string& config_file, const std::vector<std::string>& overrides);
  ~RankRuntime();
  RankRuntime(const RankRuntime&) = delete;
  RankRuntime& operator=(const RankRuntime&) = delete;

  // Makes the device and sets what ranks do when they wait for each other, once the configuration
  // is known. On all ranks, between operations. threads 0 = automatic (see automatic_threads).
  void configure(const RuntimeConfig& section);

  const std::shared_ptr<Communicator>& world() const { return world_; }
  const std::shared_ptr<Device>& device() const { return device_; }
  int rank() const { return world_->rank(); }
  int size() const { return world_->size(); }
  bool leader() const { return rank() == 0; }
  int local_ranks() const { return local_ranks_; }  // ranks on this machine
  int threads() const { return threads_; }
  // Things a user should know before a run: too small an affinity mask, bf16 without hardware for
  // it.
  const std::vector<std::string>& warnings() const { return warnings_; }
  // For load_config(): the variables as the leader has them, so that ranks on machines with other
  // environments read the same paths.
  const Environment& environment() const { return environment_; }

 private:
  std::unique_ptr<MpiWorld> mpi_;
  std::shared_ptr<Communicator> world_;
  std::shared_ptr<Device> device_;
  int local_ranks_ = 1;
  int threads_ = 1;
  Environment environment_ = process_environment;
  std::vector<std::string> warnings_;
};

// OMP_NUM_THREADS if it is set to a positive number, else usable cores / local ranks, at least 1.
int automatic_threads(int local_ranks);

}  // namespace troupe
