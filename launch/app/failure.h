// How an error leaves the program: one message per job on stderr, then its exit code.
#pragma once

#include <string>

namespace troupe {

// The rank that mpirun or Slurm gave to this process; 0 outside of a job.
int environment_rank();

// Who is to say what has failed. lowest: all ranks may have failed alike, and none knows it.
enum class Speaker { lowest, this_rank, another };

// Prints the message once a job. A rank that is not to speak waits until mpirun ends it, and speaks
// after all if that does not come: for `lowest` after some seconds, for `another` after half a
// minute.
void report_failure(const std::string& message, Speaker speaker = Speaker::lowest);

}  // namespace troupe
