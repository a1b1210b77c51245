#include "launch/job/stop_request.h"

#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace troupe {
namespace {

// A signal handler can reach nothing but globals; these are set once and then only read.
std::atomic<int> requested{0};
std::atomic<int> count{0};
std::atomic<int> endings{0};
std::atomic<bool> second_ends{true};
std::atomic<int64_t> interrupted_at{0};

int64_t now_milliseconds() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1000000;
}

void on_signal(int signal) {
  if (signal == SIGINT) {
    const int64_t now = now_milliseconds();
    const int64_t first = interrupted_at.load();
    if (first != 0 && now - first > 500 && second_ends.load()) {
      ::signal(SIGINT, SIG_DFL);
      ::raise(SIGINT);
      return;
    }
    if (first == 0) interrupted_at.store(now);
  }
  if (signal == SIGTERM) endings.fetch_add(1);
  requested.store(signal);
  count.fetch_add(1);
}

// One that was ignored from the start stays so: nohup.
void set_hang_up_action(const struct sigaction& action) {
  struct sigaction inherited {};
  sigaction(SIGHUP, nullptr, &inherited);
  if (inherited.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

void on_continue(int) { endings.fetch_add(1); }

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

}  // namespace

void install_stop_handlers() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaction(signal, &action, nullptr);
  set_hang_up_action(action);
  action.sa_handler = on_continue;
  sigaction(SIGCONT, &action, nullptr);
  // A file size limit (ulimit -f) then fails the write with EFBIG, which is reported, instead of
  // ending the process.
  ::signal(SIGXFSZ, SIG_IGN);
  // A reader of the output that goes away (`| head`, a terminal's end) is no reason to stop.
  ::signal(SIGPIPE, SIG_IGN);
  const sigset_t held = stop_signals();
  sigprocmask(SIG_UNBLOCK, &held, nullptr);
}

void hold_stop_signals() {
  const sigset_t signals = stop_signals();
  sigprocmask(SIG_BLOCK, &signals, nullptr);
}

void end_with_launcher() {
  if (std::getenv("OMPI_COMM_WORLD_RANK") != nullptr) prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void restore_stop_signals() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (const int signal : {SIGTERM, SIGINT}) sigaction(signal, &standard, nullptr);
  set_hang_up_action(standard);
  ::signal(SIGPIPE, SIG_DFL);
  const int pending = requested.load();
  if (pending != 0 && pending != SIGUSR1) raise(pending);
}

void keep_second_interrupt() { second_ends.store(false); }

int ending_count() { return endings.load(); }
int stop_count() { return count.load(); }
bool stop_requested() { return requested.load() != 0; }

}  // namespace troupe
