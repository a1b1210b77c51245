#include "launch/job/stop_request.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

namespace troupe {
namespace {

// In a process of their own: handlers stay.
TEST(StopRequestDeathTest, SignalsThatWereHeldBackComeWithTheHandlers) {
  const auto held = [](int signal) {
    ::signal(SIGHUP, SIG_DFL);  // nohup may have had it ignored
    hold_stop_signals();
    raise(signal);
    if (stop_requested()) _exit(2);
    install_stop_handlers();
    _exit(stop_requested() && stop_count() == 1 ? 0 : 1);
  };
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) {
    EXPECT_EXIT(held(signal), testing::ExitedWithCode(0), "") << signal;
  }
}

}  // namespace
}  // namespace troupe
