#include "parallel/comm/mpi_deadline.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "core/base/error.h"
#include "core/base/log.h"
#include "parallel/comm/host_processes.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;

// How long ranks leave the report to another one: those of the host of rank 0 to the first of them,
// those of other hosts to that host.
constexpr auto kDefer = milliseconds(4000);
constexpr auto kOtherHost = milliseconds(2500);

// Time in which this process was stopped itself is not counted: it should not speak of others when
// mpirun wakes it to end it.
constexpr auto kBeat = milliseconds(50);
constexpr auto kLongestBeat = milliseconds(500);

int own_rank() {
  const char* text = std::getenv("PMIX_RANK");
  return text == nullptr ? 0 : std::atoi(text);
}

std::string report_of(const std::vector<HostProcess>& processes, const std::string& what,
                      double seconds) {
  std::vector<HostProcess> stopped;
  std::copy_if(processes.begin(), processes.end(), std::back_inserter(stopped),
               [](const HostProcess& one) { return one.stopped; });
  if (stopped.empty()) {
    return fmt::format(
        "no answer within {:g} s: {}, awaited by rank {}; no rank of this host is stopped, so one "
        "of another host is stopped, lost or cut off, or a rank is only slow",
        seconds, what, own_rank());
  }
  std::string out = fmt::format(
      "no answer from rank {} within {:g} s: {}, awaited by rank {}; it does not answer at all: it "
      "is stopped (process {})",
      stopped[0].rank, seconds, what, own_rank(), stopped[0].process);
  if (stopped.size() > 1) {
    out += fmt::format("; {} ranks do not answer:", stopped.size());
    for (const HostProcess& one : stopped) out += fmt::format(" {}", one.rank);
  }
  return out;
}

}  // namespace

MpiDeadline::MpiDeadline(milliseconds timeout, std::string what, std::string state)
    : what_(std::move(what)), state_(std::move(state)) {
  // Signals are for the main thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this, timeout] { count(timeout); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

MpiDeadline::~MpiDeadline() {
  {
    std::lock_guard lock(mutex_);
    over_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void MpiDeadline::count(milliseconds timeout) {
  using Clock = std::chrono::steady_clock;
  std::unique_lock lock(mutex_);
  Clock::duration waited{0};
  while (waited < timeout) {
    const auto begin = Clock::now();
    if (wake_.wait_for(lock, kBeat, [this] { return over_; })) return;
    waited += std::min<Clock::duration>(Clock::now() - begin, kLongestBeat);
  }
  leave(timeout);
}

void MpiDeadline::leave(milliseconds timeout) const {
  const std::vector<HostProcess> processes = host_processes();
  const auto speaker = std::find_if(processes.begin(), processes.end(),
                                    [](const HostProcess& one) { return !one.stopped; });
  const bool speaks = speaker == processes.end() || speaker->rank == own_rank();
  const bool first_host = processes.empty() ? own_rank() == 0 : processes.front().rank == 0;
  // mpirun ends this rank meanwhile if another one has spoken.
  if (!first_host) std::this_thread::sleep_for(kOtherHost);
  if (!speaks) std::this_thread::sleep_for(kDefer);
  if (speaks) {
    const double seconds = std::chrono::duration<double>(timeout).count();
    log::error("{}; {}. Raise runtime.timeout if the rank is only slow",
               report_of(processes, what_, seconds), state_);
  }
  _exit(static_cast<int>(ExitCode::distributed));
}

}  // namespace troupe
