// The ranks of this job on this host as the system shows them: no rank needs to answer.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace troupe {

struct HostProcess {
  int rank = 0;  // of the job
  pid_t process = 0;
  bool stopped = false;  // by a signal or a debugger
};

// By rank, each once (a stopped process of it if there is one). Empty where mpirun gave the job no
// name. proc: where the system shows its processes.
std::vector<HostProcess> host_processes(const std::string& proc = "/proc");

}  // namespace troupe
