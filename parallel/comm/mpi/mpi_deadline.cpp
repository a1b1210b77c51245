#include "parallel/comm/mpi/mpi_deadline.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "core/base/error.h"
#include "core/base/log.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;

// A host that sees stopped ranks speaks first, then that of rank 0, then the others; on each host
// the first rank that is not stopped. mpirun ends the rest meanwhile.
constexpr auto kSeesNone = milliseconds(500);
constexpr auto kOtherHost = milliseconds(250);
constexpr auto kOtherHostSeesNone = milliseconds(2500);
constexpr auto kOtherRank = milliseconds(4000);

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

MpiDeadline::MpiDeadline(milliseconds timeout, std::string name, std::string what,
                         std::string state)
    : name_(std::move(name)), what_(std::move(what)), state_(std::move(state)) {
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
  // Taken early: whoever is first to leave is gone when the others look.
  std::vector<HostProcess> started;
  while (waited < timeout) {
    if (started.empty() && waited > timeout / 2) started = host_processes();
    const auto begin = Clock::now();
    if (wake_.wait_for(lock, kBeat, [this] { return over_; })) return;
    waited += std::min<Clock::duration>(Clock::now() - begin, kLongestBeat);
  }
  leave(timeout, started);
}

void MpiDeadline::leave(milliseconds timeout, const std::vector<HostProcess>& started) const {
  const std::vector<HostProcess> processes = host_processes();
  const auto stopped = [&](int rank) {
    return std::any_of(processes.begin(), processes.end(),
                       [rank](const HostProcess& one) { return one.rank == rank && one.stopped; });
  };
  const auto speaker = std::find_if(started.begin(), started.end(),
                                    [&](const HostProcess& one) { return !stopped(one.rank); });
  const bool speaks = speaker == started.end() || speaker->rank == own_rank();
  const bool sees = std::any_of(processes.begin(), processes.end(),
                                [](const HostProcess& one) { return one.stopped; });
  const bool first_host = started.empty() ? own_rank() == 0 : started.front().rank == 0;
  if (first_host) {
    std::this_thread::sleep_for(sees ? milliseconds(0) : kSeesNone);
  } else {
    std::this_thread::sleep_for(sees ? kOtherHost : kOtherHostSeesNone);
  }
  if (!speaks) std::this_thread::sleep_for(kOtherRank);
  if (speaks) {
    const double seconds = std::chrono::duration<double>(timeout).count();
    log::error("{}; {}. Raise {} if the rank is only slow", report_of(processes, what_, seconds),
               state_, name_);
  }
  _exit(static_cast<int>(ExitCode::distributed));
}

}  // namespace troupe
