#include "core/device/parallel_for.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#include <atomic>
#include <exception>
#include <mutex>

namespace troupe {

void parallel_for(Stream& stream, int64_t pieces, void (*run)(void*, int64_t), void* context) {
#ifdef _OPENMP
  if (stream.threads > 1 && pieces > 1 && !omp_in_parallel()) {
    std::atomic<int64_t> next{0};
    std::atomic<bool> failed{false};
    std::exception_ptr failure;
    std::mutex failure_mutex;
    // NOLINTNEXTLINE(clang-analyzer-deadcode.DeadStores): the pragma reads it
    const int team = static_cast<int>(pieces < stream.threads ? pieces : stream.threads);
#pragma omp parallel num_threads(team)
    {
      for (int64_t piece = next.fetch_add(1); piece < pieces && !failed.load();
           piece = next.fetch_add(1)) {
        try {
          run(context, piece);
        } catch (...) {
          std::lock_guard lock(failure_mutex);
          if (!failure) failure = std::current_exception();
          failed = true;
        }
      }
    }
    if (failure) std::rethrow_exception(failure);
    return;
  }
#endif
  (void)stream;
  for (int64_t piece = 0; piece < pieces; ++piece) run(context, piece);
}

int thread_index() {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

}  // namespace troupe
