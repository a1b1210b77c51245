// The mpirun line of a job, and its supervision.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "launch/job/hosts.h"

namespace troupe {

struct LaunchPlan {
  int ranks = 1;
  Hosts hosts;            // none = this machine
  std::string directory;  // working directory on every host
  std::string network;    // the one between the hosts: 10.1.0.0/16 or eth0; empty = any
  std::chrono::milliseconds timeout = std::chrono::minutes(10);  // deadline of the ranks' waits
  std::vector<std::string> words;                                // the program and its arguments
  bool root = false;           // OpenMPI asks for two variables then
  bool oversubscribe = false;  // more ranks than slots
  std::string temporary;       // for OpenMPI's session files; empty = its default
  std::string shared_memory;   // for its shared-memory segments; empty = its default
};

// Slots that OpenMPI sees on this machine: physical cores among the usable ones.
int physical_cores();

// Variables of this process that ranks on other hosts read too (OpenMP, Troupe, the terminal):
// mpirun passes on only its own and those that it is told to.
std::vector<std::string> passed_on_variables(
    const std::vector<std::pair<std::string, std::string>>& environment);

std::vector<std::string> mpirun_line(const LaunchPlan& plan);
std::vector<std::pair<std::string, std::string>> mpirun_environment(const LaunchPlan& plan);
// As one would type it into a shell.
std::string shell_line(const std::vector<std::pair<std::string, std::string>>& environment,
                       const std::vector<std::string>& words);

// Starts the line in a process group of its own and waits for its end. A stop request is passed on
// as SIGUSR1, on which ranks save and leave with code 75; a second one ends the job at once. No
// process of the job is left afterwards. Returns its exit code, 128 + signal when a signal ended
// it.
int supervise(const std::vector<std::string>& words,
              const std::vector<std::pair<std::string, std::string>>& environment);

}  // namespace troupe
