// A deadline for the two calls of MPI that wait for all ranks and know none: its start and its end.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "parallel/comm/host_processes.h"

namespace troupe {

// While it lives, a thread counts. After `timeout` it reports which ranks of this host are stopped,
// once for the job, and the process leaves with code 7.
class MpiDeadline {
 public:
  // name: of the timeout; what: "the start of MPI"; state: what is known of the operations then,
  // for the report.
  MpiDeadline(std::chrono::milliseconds timeout, std::string name, std::string what,
              std::string state);
  ~MpiDeadline();
  MpiDeadline(const MpiDeadline&) = delete;
  MpiDeadline& operator=(const MpiDeadline&) = delete;

 private:
  void count(std::chrono::milliseconds timeout);
  // started: the ranks of this host that were seen before.
  [[noreturn]] void leave(std::chrono::milliseconds timeout,
                          const std::vector<HostProcess>& started) const;

  std::string name_;
  std::string what_;
  std::string state_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace troupe
