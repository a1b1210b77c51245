#include "launch/app/mpirun.h"

#include <fmt/core.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

namespace troupe {

int physical_cores() {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (sched_getaffinity(0, sizeof(usable), &usable) != 0) return 1;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &usable)) continue;
    std::ifstream file(
        fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
    std::string siblings;
    if (!std::getline(file, siblings)) siblings = std::to_string(cpu);
    cores.insert(siblings);
  }
  return std::max(1, static_cast<int>(cores.size()));
}

std::vector<std::string> mpirun_line(const LaunchPlan& plan) {
  std::vector<std::string> line{"mpirun",    "--quiet", "-n", std::to_string(plan.ranks),
                                "--bind-to", "none"};
  if (plan.oversubscribe) line.emplace_back("--oversubscribe");
  if (!plan.hosts.empty()) {
    std::error_code error;
    const bool file = std::filesystem::is_regular_file(plan.hosts, error);
    line.insert(line.end(), {file ? "--hostfile" : "--host", plan.hosts});
  }
  if (!plan.shared_memory.empty()) {
    line.insert(line.end(), {"--mca", "btl_vader_backing_directory", plan.shared_memory});
  }
  line.insert(line.end(), plan.words.begin(), plan.words.end());
  return line;
}

std::vector<std::pair<std::string, std::string>> mpirun_environment(const LaunchPlan& plan) {
  std::vector<std::pair<std::string, std::string>> environment;
  if (plan.root) {
    environment.emplace_back("OMPI_ALLOW_RUN_AS_ROOT", "1");
    environment.emplace_back("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
  }
  if (!plan.temporary.empty()) environment.emplace_back("TMPDIR", plan.temporary);
  // Ranks write to a pipe: tell them how wide the terminal behind it is, if there is one.
  winsize size{};
  if (isatty(STDERR_FILENO) == 1 && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 &&
      size.ws_col > 0) {
    environment.emplace_back("TROUPE_LIVE_COLUMNS", std::to_string(size.ws_col));
  }
  return environment;
}

std::string shell_line(const std::vector<std::pair<std::string, std::string>>& environment,
                       const std::vector<std::string>& words) {
  const auto quoted = [](const std::string& word) {
    const bool plain = !word.empty() && word.find_first_not_of(
                                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                            "0123456789_-./=:,+@%") == std::string::npos;
    if (plain) return word;
    std::string text = "'";
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return text + "'";
  };
  std::string line;
  for (const auto& [name, value] : environment) line += name + "=" + quoted(value) + " ";
  for (const std::string& word : words) line += quoted(word) + " ";
  if (!line.empty()) line.pop_back();
  return line;
}

PrivateDirectory::PrivateDirectory(const std::string& parent) {
  std::string pattern = parent + "/troupe-XXXXXX";
  if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
}

PrivateDirectory::~PrivateDirectory() {
  if (path_.empty()) return;
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

}  // namespace troupe
