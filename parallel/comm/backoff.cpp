#include "parallel/comm/backoff.h"

#include <thread>

#include "parallel/comm/transport.h"

namespace troupe {

void Backoff::pause() {
  if (spins_left_ > 0) {
    --spins_left_;
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
    return;
  }
  if (yields_++ == 0) started_ = std::chrono::steady_clock::now();
  // A long wait (a peer that saves a checkpoint) should not burn a core that others could use.
  constexpr auto kNapAfter = std::chrono::milliseconds(20);
  if (waited_ > kNapAfter) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  } else {
    std::this_thread::yield();
  }
  waited_ = std::chrono::steady_clock::now() - started_;
}

}  // namespace troupe
