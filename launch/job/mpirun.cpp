#include "launch/job/mpirun.h"

#include <fmt/core.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "launch/metrics/text.h"

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

std::vector<std::string> passed_on_variables(
    const std::vector<std::pair<std::string, std::string>>& environment) {
  std::set<std::string> names;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    names.insert(text.substr(0, text.find('=')));
  }
  for (const auto& [name, value] : environment) names.insert(name);
  std::vector<std::string> passed;
  for (const std::string& name : names) {
    if (name == "LD_LIBRARY_PATH" || name == "NO_COLOR" || name == "TERM") passed.push_back(name);
    for (const char* prefix : {"TROUPE_", "OMP_", "GOMP_", "DNNL_", "ONEDNN_", "HDF5_"}) {
      if (name.rfind(prefix, 0) == 0) passed.push_back(name);
    }
  }
  return passed;
}

namespace {

// mpirun and its daemons notice a host that is cut off by TCP's keep-alive, by default after eight
// minutes. It must be before the ranks' own deadline: a connection with unsent data has none.
std::vector<std::string> keep_alive(std::chrono::milliseconds timeout) {
  const double deadline = std::chrono::duration<double>(timeout).count();
  const int idle = std::clamp(static_cast<int>(deadline / 2), 1, 300);
  const int interval = std::clamp(static_cast<int>(deadline / 8), 1, 60);
  const int probes = std::clamp(static_cast<int>((0.9 * deadline - idle) / interval), 1, 5);
  return {"--mca", "oob_tcp_keepalive_time",   std::to_string(idle),
          "--mca", "oob_tcp_keepalive_intvl",  std::to_string(interval),
          "--mca", "oob_tcp_keepalive_probes", std::to_string(probes)};
}

void add_hosts(const LaunchPlan& plan, std::vector<std::string>& line) {
  if (plan.hosts.file.empty()) {
    line.insert(line.end(), {"--host", host_list(plan.hosts)});
  } else {
    line.insert(line.end(), {"--hostfile", plan.hosts.file});
  }
  if (!plan.network.empty()) {
    line.insert(line.end(), {"--mca", "oob_tcp_if_include", plan.network, "--mca",
                             "btl_tcp_if_include", plan.network});
  }
  const std::vector<std::string> alive = keep_alive(plan.timeout);
  line.insert(line.end(), alive.begin(), alive.end());
  // Without it, a directory that a host lacks is silently replaced by the home directory.
  if (!plan.directory.empty()) line.insert(line.end(), {"--wdir", plan.directory});
  for (const std::string& name : passed_on_variables(mpirun_environment(plan))) {
    line.insert(line.end(), {"-x", name});
  }
}

}  // namespace

std::vector<std::string> mpirun_line(const LaunchPlan& plan) {
  std::vector<std::string> line{"mpirun",    "--quiet", "-n", std::to_string(plan.ranks),
                                "--bind-to", "none"};
  if (plan.oversubscribe) line.emplace_back("--oversubscribe");
  if (!plan.hosts.hosts.empty()) add_hosts(plan, line);
  // When a rank has failed, mpirun waits twice this long for the others: seconds in which nothing
  // more is said. Ranks that leave as they should have done all by the barrier before MPI_Finalize.
  // On several hosts mpirun may be the first to notice that one is cut off; then the time lets the
  // ranks of its own host speak.
  if (plan.hosts.hosts.empty()) {
    line.insert(line.end(), {"--mca", "odls_base_sigkill_timeout", "0"});
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
  std::string line;
  for (const auto& [name, value] : environment) line += name + "=" + shell_word(value) + " ";
  for (const std::string& word : words) line += shell_word(word) + " ";
  if (!line.empty()) line.pop_back();
  return line;
}

}  // namespace troupe
