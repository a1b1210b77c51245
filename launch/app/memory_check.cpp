#include "launch/app/memory_check.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "core/base/error.h"
#include "launch/config/estimate.h"

namespace troupe {

int64_t machine_memory() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  const int64_t page_bytes = sysconf(_SC_PAGE_SIZE);
  int64_t bytes = pages > 0 && page_bytes > 0 ? pages * page_bytes : 0;
  for (const char* limit_file :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    int64_t limit = 0;
    if (std::ifstream(limit_file) >> limit && limit > 0)
      bytes = bytes > 0 ? std::min(bytes, limit) : limit;
  }
  return bytes;
}

int64_t check_memory(const RunConfig& config, const RankRuntime& runtime) {
  const int64_t per_rank = estimate_memory(config, runtime.threads()).total_bytes;
  const int64_t here = per_rank * runtime.local_ranks();
  const int64_t available = machine_memory();
  if (available > 0 && here > available) {
    fail(ExitCode::resource,
         "this run needs about {:.1f} GB on the heaviest rank, {:.1f} GB for the {} rank{} of this "
         "machine, which has "
         "{:.1f} GB. Lower train.micro_batch ({}), set model.recompute: full, raise parallel.ep or "
         "use more machines; "
         "`troupe check` shows what the memory is for",
         static_cast<double>(per_rank) / 1e9, static_cast<double>(here) / 1e9,
         runtime.local_ranks(), runtime.local_ranks() == 1 ? "" : "s",
         static_cast<double>(available) / 1e9, config.train.micro_batch);
  }
  return per_rank;
}

}  // namespace troupe
