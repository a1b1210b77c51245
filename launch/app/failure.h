// How an error leaves the program: one message per job on stderr, then its exit code.
#pragma once

#include <string>

namespace troupe {

// The rank that mpirun or Slurm gave to this process; 0 outside of a job.
int environment_rank();

// Prints the message. When all ranks fail alike only the lowest one should speak: the others wait a
// moment first, in which the end of that rank ends them.
void report_failure(const std::string& message);

}  // namespace troupe
