// The ranks of an mpirun job: starts MPI, hands out the world communicator, ends MPI.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "parallel/comm/communicator.h"
#include "parallel/comm/options.h"

namespace troupe {

class WatchedBoard;

// Was this process started by mpirun or a batch system's equivalent? If not, it is one rank alone
// (self_communicator) and need not pay for MPI's start.
bool started_by_mpi();

class MpiWorld {
 public:
  // Once in a process: MPI cannot be started again after its end. Throws Error(distributed) when
  // MPI gives less than MPI_THREAD_MULTIPLE. start_timeout: until all ranks have started it.
  explicit MpiWorld(const CommOptions& options = {},
                    std::chrono::milliseconds start_timeout = std::chrono::minutes(10));
  // Ends MPI together with all ranks; after a failure, or while an exception unwinds, it leaves MPI
  // as it is (call abort_world).
  ~MpiWorld();
  MpiWorld(const MpiWorld&) = delete;
  MpiWorld& operator=(const MpiWorld&) = delete;

  const std::shared_ptr<Communicator>& communicator() const { return communicator_; }
  int rank() const { return communicator_->rank(); }
  int size() const { return communicator_->size(); }
  int local_ranks() const { return local_ranks_; }  // ranks on this host

 private:
  std::string timeout_name_;
  std::shared_ptr<Communicator> communicator_;
  std::shared_ptr<bool> failed_;
  std::shared_ptr<WatchedBoard> board_;
  int local_ranks_ = 1;
};

// The one exit of a rank that cannot go on: prints the message to stderr and leaves at once with
// `code`, without ending MPI. mpirun then ends the other ranks and returns `code`. Tell the peers
// first (Communicator::poison with the same code), so that they leave with it too if they are
// faster.
[[noreturn]] void abort_world(ExitCode code, const std::string& message);

}  // namespace troupe
