#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include "core/base/error.h"
#include "core/base/log.h"
#include "launch/job/mpirun.h"
#include "launch/job/stop_request.h"
#include "launch/metrics/progress.h"

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPoll(20);
// Before this, ranks may not have set up their handlers yet, and a signal would kill them.
constexpr std::chrono::milliseconds kStart(1000);
// A signal may meet mpirun while it is still starting ranks, so it is sent again.
constexpr std::chrono::milliseconds kRepeat(2000);
constexpr std::chrono::milliseconds kGrace(2000);

[[noreturn]] void become(pid_t supervisor, const std::vector<std::string>& words,
                         const std::vector<std::pair<std::string, std::string>>& environment) {
  setpgid(0, 0);  // Ctrl-C of the terminal must not reach mpirun: it would kill the job
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != supervisor) _exit(static_cast<int>(ExitCode::internal));  // it died before that
  for (const int standard : {SIGTERM, SIGINT, SIGPIPE}) signal(standard, SIG_DFL);
  signal(SIGUSR1, SIG_IGN);         // until mpirun has its own handler
  if (isatty(STDIN_FILENO) != 0) {  // reading from it would stop a background group
    const int null = open("/dev/null", O_RDONLY);
    if (null >= 0) dup2(null, STDIN_FILENO);
  }
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  const char* reason = errno == ENOENT ? "is not installed (Debian: openmpi-bin)" : strerror(errno);
  const std::string text = fmt::format("error: {} {}\n", words[0], reason);
  const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
  (void)written;
  _exit(static_cast<int>(ExitCode::resource));
}

// Ends what the job has left: orphans become children of this process.
void end_children() {
  const auto grace = Clock::now() + kGrace;
  for (;;) {
    const pid_t ended = waitpid(-1, nullptr, WNOHANG);
    if (ended < 0 && errno == ECHILD) return;
    if (ended > 0) continue;
    if (Clock::now() > grace) {
      std::ifstream children(fmt::format("/proc/self/task/{}/children", getpid()));
      pid_t child = 0;
      while (children >> child) kill(child, SIGKILL);
      if (Clock::now() > grace + kGrace) return;
    }
    std::this_thread::sleep_for(kPoll);
  }
}

// Passes stop requests on while the job runs.
class Stopper {
 public:
  explicit Stopper(pid_t job) : job_(job), started_(Clock::now()) {}

  // A second request has ended the job.
  bool ended_it() const { return killed_; }

  void look() {
    if (!stop_requested()) return;
    const auto now = Clock::now();
    if (requests_ == 0) {
      requests_ = stop_count();
      requested_ = now;
      log::info("stopping: the ranks save and leave; again to end them at once");
    }
    if (!killed_ && stop_count() > requests_ && now - requested_ > std::chrono::milliseconds(500)) {
      killed_ = true;
      kill(job_, SIGTERM);
      return;
    }
    if (stop_count() > requests_ && now - requested_ <= std::chrono::milliseconds(500)) {
      requests_ = stop_count();  // one press may come as two signals
    }
    if (killed_ || now - started_ < kStart || now - sent_ < kRepeat) return;
    sent_ = now;
    kill(job_, SIGUSR1);
  }

 private:
  pid_t job_;
  Clock::time_point started_;
  Clock::time_point requested_;
  Clock::time_point sent_;
  int requests_ = 0;
  bool killed_ = false;
};

}  // namespace

int supervise(const std::vector<std::string>& words,
              const std::vector<std::pair<std::string, std::string>>& environment) {
  keep_second_interrupt();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t supervisor = getpid();
  const pid_t job = fork();
  if (job < 0) fail(ExitCode::resource, "cannot start {}: {}", words[0], strerror(errno));
  if (job == 0) become(supervisor, words, environment);
  log::configure(log::Level::info, 0, /*leader=*/true, Progress::live_on(stderr));
  Stopper stopper(job);
  int status = 0;
  for (;;) {
    const pid_t ended = waitpid(job, &status, WNOHANG);
    if (ended == job || (ended < 0 && errno != EINTR)) break;
    stopper.look();
    std::this_thread::sleep_for(kPoll);
  }
  end_children();
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  // mpirun stopped by a second request leaves with 1; met in the middle of its own end it crashes.
  return stopper.ended_it() ? 1 : 128 + WTERMSIG(status);
}

}  // namespace troupe
