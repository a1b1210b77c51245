#include "launch/training/memory_check.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "core/base/error.h"
#include "launch/config/run_cost.h"
#include "models/cost/estimate.h"

namespace troupe {

namespace {

// The smallest limit on the way from a control group up to the top; 0 = none. A value that is no
// number ("max") is no limit.
int64_t least_limit(const std::string& top, std::string group, const char* file) {
  int64_t least = 0;
  while (true) {
    int64_t limit = 0;
    if (std::ifstream(top + group + "/" + file) >> limit && limit > 0) {
      least = least > 0 ? std::min(least, limit) : limit;
    }
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return least;
    group.resize(slash);
  }
}

}  // namespace

// Lines of /proc/self/cgroup are "number:controllers:path"; version 2 has no controllers there. In
// a container the path may be that of the host, and the limit stands at the top.
int64_t group_memory_limit(const std::string& root) {
  int64_t least = 0;
  const auto lower = [&least](int64_t limit) {
    if (limit > 0) least = least > 0 ? std::min(least, limit) : limit;
  };
  const std::string top = root + "/sys/fs/cgroup";
  lower(least_limit(top, "", "memory.max"));
  lower(least_limit(top + "/memory", "", "memory.limit_in_bytes"));
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string group = line.substr(second + 1);
    if (controllers == ",,") lower(least_limit(top, group, "memory.max"));
    if (controllers.find(",memory,") != std::string::npos) {
      lower(least_limit(top + "/memory", group, "memory.limit_in_bytes"));
    }
  }
  return least;
}

int64_t machine_memory() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  const int64_t page_bytes = sysconf(_SC_PAGE_SIZE);
  const int64_t bytes = pages > 0 && page_bytes > 0 ? pages * page_bytes : 0;
  const int64_t limit = group_memory_limit();
  return limit > 0 && (bytes == 0 || limit < bytes) ? limit : bytes;
}

namespace {

// What spreads the weights of this model over more ranks.
const char* more_ranks(const RunConfig& config) {
  return config.values.is_word("moe", "none") ? "parallel.tp, parallel.pp or parallel.zero"
                                              : "parallel.ep";
}

std::string without_copy(const MemoryEstimate& estimate) {
  const int64_t bytes = estimate.of(MemoryKind::checkpoint);
  if (bytes == 0) return "";
  return fmt::format(", set checkpoint.async=false ({:.1f} GB less on the heaviest rank)",
                     static_cast<double>(bytes) / 1e9);
}

}  // namespace

int64_t check_memory(const RunConfig& config, const RankRuntime& runtime) {
  return check_memory(config, runtime.threads(), runtime.local_ranks());
}

int64_t check_memory(const RunConfig& config, int threads, int local_ranks) {
  const MemoryEstimate estimate = estimate_memory(cost_inputs(config), threads);
  const int64_t per_rank = estimate.total_bytes;
  const int64_t here = per_rank * local_ranks;
  const int64_t available = machine_memory();
  if (available > 0 && here > available) {
    fail(ExitCode::resource,
         "this run needs about {:.1f} GB on the heaviest rank, {:.1f} GB for the {} rank{} of this "
         "machine, which has "
         "{:.1f} GB. Lower train.micro_batch ({}), set model.recompute: full, raise {}{} or "
         "use more machines; "
         "`troupe check` shows what the memory is for",
         static_cast<double>(per_rank) / 1e9, static_cast<double>(here) / 1e9, local_ranks,
         local_ranks == 1 ? "" : "s", static_cast<double>(available) / 1e9,
         config.train.micro_batch, more_ranks(config), without_copy(estimate));
  }
  return per_rank;
}

}  // namespace troupe
