// The mpirun line of a job, and its supervision.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace troupe {

struct LaunchPlan {
  int ranks = 1;
  std::string hosts;               // "a:2,b:2" or a hostfile; empty = this machine
  std::vector<std::string> words;  // the program and its arguments
  bool root = false;               // OpenMPI asks for two variables then
  bool oversubscribe = false;      // more ranks than slots
  std::string temporary;           // for OpenMPI's session files; empty = its default
  std::string shared_memory;       // for its shared-memory segments; empty = its default
};

// Slots that OpenMPI sees on this machine: physical cores among the usable ones.
int physical_cores();

std::vector<std::string> mpirun_line(const LaunchPlan& plan);
std::vector<std::pair<std::string, std::string>> mpirun_environment(const LaunchPlan& plan);
// As one would type it into a shell.
std::string shell_line(const std::vector<std::pair<std::string, std::string>>& environment,
                       const std::vector<std::string>& words);

// A new directory below `parent` that only this process uses, removed with all it holds.
class PrivateDirectory {
 public:
  explicit PrivateDirectory(const std::string& parent);  // path() is empty when it cannot be made
  ~PrivateDirectory();
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Starts the line in a process group of its own and waits for its end. A stop request is passed on
// as SIGUSR1, on which ranks save and leave with code 75; a second one ends the job at once. No
// process of the job is left afterwards. Returns its exit code, 128 + signal when a signal ended
// it.
int supervise(const std::vector<std::string>& words,
              const std::vector<std::pair<std::string, std::string>>& environment);

}  // namespace troupe
