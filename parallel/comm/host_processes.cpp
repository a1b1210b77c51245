#include "parallel/comm/host_processes.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

namespace troupe {
namespace {

namespace fs = std::filesystem;

// The value of a variable among "NAME=value" entries, each ended by a zero byte.
std::string variable(const std::string& environment, const std::string& name) {
  size_t at = 0;
  while (at < environment.size()) {
    const size_t end = std::min(environment.find('\0', at), environment.size());
    if (environment.compare(at, name.size() + 1, name + "=") == 0) {
      return environment.substr(at + name.size() + 1, end - at - name.size() - 1);
    }
    at = end + 1;
  }
  return "";
}

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int number_of(const std::string& text) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : -1;
}

// The letter behind the name, which may hold anything: T stopped, t by a debugger.
bool is_stopped(const std::string& stat) {
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= stat.size()) return false;
  return stat[name_end + 2] == 'T' || stat[name_end + 2] == 't';
}

}  // namespace

std::vector<HostProcess> host_processes(const std::string& proc) {
  const char* job = std::getenv("PMIX_NAMESPACE");
  if (job == nullptr) return {};
  std::map<int, HostProcess> by_rank;
  std::error_code error;
  for (fs::directory_iterator entry(proc, error), end; !error && entry != end;
       entry.increment(error)) {
    const int process = number_of(entry->path().filename().string());
    if (process < 0) continue;
    const std::string environment = read_all(entry->path() / "environ");
    if (variable(environment, "PMIX_NAMESPACE") != job) continue;
    const int rank = number_of(variable(environment, "PMIX_RANK"));
    if (rank < 0) continue;
    const HostProcess found{rank, process, is_stopped(read_all(entry->path() / "stat"))};
    const auto [at, fresh] = by_rank.try_emplace(rank, found);
    if (!fresh && found.stopped) at->second = found;
  }
  std::vector<HostProcess> out;
  for (const auto& [rank, process] : by_rank) out.push_back(process);
  return out;
}

}  // namespace troupe
