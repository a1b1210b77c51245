#include "core/device/cpu/parallel_for.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#include <atomic>
#include <exception>
#include <mutex>

#include "core/base/trace.h"

namespace troupe {
namespace {

// The work of one thread on one loop, told to the trace if there is one.
class ThreadScope {
 public:
  explicit ThreadScope(const Stream& stream) : trace_(stream.trace) {
    if (trace_ == nullptr) return;
    span_.op = trace_->running();
    span_.begin = std::chrono::steady_clock::now();
  }
  ~ThreadScope() {
    if (trace_ == nullptr || span_.pieces == 0) return;
    span_.end = std::chrono::steady_clock::now();
    trace_->add_thread(thread_index(), span_);
  }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;
  void count() { ++span_.pieces; }

 private:
  Trace* trace_;
  ThreadSpan span_;
};

#ifdef _OPENMP
bool inside_of_loop() { return omp_in_parallel() != 0; }
#else
bool inside_of_loop() { return false; }
#endif

}  // namespace

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
      ThreadScope scope(stream);
      for (int64_t piece = next.fetch_add(1); piece < pieces && !failed.load();
           piece = next.fetch_add(1)) {
        scope.count();
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
  if (stream.trace != nullptr && !inside_of_loop()) {
    ThreadScope scope(stream);
    for (int64_t piece = 0; piece < pieces; ++piece) {
      scope.count();
      run(context, piece);
    }
    return;
  }
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
