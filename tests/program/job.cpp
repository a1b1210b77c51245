#include "tests/program/job.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace troupe::program {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPoll(10);

std::string new_directory(const std::string& parent) {
  std::string pattern = parent + "/troupe-program-XXXXXX";
  EXPECT_NE(mkdtemp(pattern.data()), nullptr) << pattern;
  return pattern;
}

void redirect(const std::string& path, int target, int flags) {
  const int file = open(path.c_str(), flags, 0600);
  if (file < 0 || dup2(file, target) < 0) _exit(126);
  close(file);
}

bool has_variable(const std::string& environment, const std::string& entry) {
  const std::string wanted = entry + std::string(1, '\0');
  const size_t place = environment.find(wanted);
  return place != std::string::npos && (place == 0 || environment[place - 1] == '\0');
}

// Orphans of a job become children of this process, which must collect them.
void collect_orphans(pid_t except) {
  std::ifstream children("/proc/self/task/" + std::to_string(getpid()) + "/children");
  pid_t child = 0;
  while (children >> child) {
    if (child != except) waitpid(child, nullptr, WNOHANG);
  }
}

}  // namespace

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

int occurrences(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

Job::Job(std::vector<std::string> words, const std::string& input) : started_(Clock::now()) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  folder_ = new_directory("/tmp");
  memory_ = new_directory("/dev/shm");
  mark_ = "TROUPE_TEST_JOB=" + folder_;
  fs::create_directory(folder_ + "/tmp");
  fs::create_directory(folder_ + "/cwd");
  write_text(folder_ + "/in", input);
  if (words[0] == "mpirun") {
    words.insert(words.begin() + 1, {"--mca", "btl_vader_backing_directory", memory_});
  }
  pid_ = fork();
  if (pid_ == 0) {
    setpgid(0, 0);
    // A crash shall leave a core file here, so that the test sees it.
    rlimit core{};
    getrlimit(RLIMIT_CORE, &core);
    core.rlim_cur = core.rlim_max;
    setrlimit(RLIMIT_CORE, &core);
    if (chdir((folder_ + "/cwd").c_str()) != 0) _exit(126);
    redirect(folder_ + "/in", STDIN_FILENO, O_RDONLY);
    redirect(folder_ + "/out", STDOUT_FILENO, O_WRONLY | O_CREAT);
    redirect(folder_ + "/err", STDERR_FILENO, O_WRONLY | O_CREAT | O_APPEND);
    setenv("TROUPE_TEST_JOB", folder_.c_str(), 1);
    setenv("TMPDIR", (folder_ + "/tmp").c_str(), 1);
    setenv("OMP_NUM_THREADS", "1", 0);
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
}

Job::~Job() {
  const auto end = Clock::now() + std::chrono::seconds(10);
  for (std::vector<pid_t> left = processes(); !left.empty() && Clock::now() < end;
       left = processes()) {
    for (const pid_t process : left) kill(process, SIGKILL);
    std::this_thread::sleep_for(kPoll);
    collect_orphans(pid_);
  }
  if (!ended_) waitpid(pid_, &status_, 0);
  std::error_code error;
  fs::remove_all(folder_, error);
  fs::remove_all(memory_, error);
}

bool Job::running() {
  if (!ended_) ended_ = waitpid(pid_, &status_, WNOHANG) == pid_;
  return !ended_;
}

Outcome Job::wait(std::chrono::seconds limit) {
  Outcome outcome;
  while (running()) {
    if (Clock::now() - started_ > limit) {
      outcome.expired = true;
      for (const pid_t process : processes()) kill(process, SIGKILL);
      kill(pid_, SIGKILL);
    }
    std::this_thread::sleep_for(kPoll);
  }
  outcome.seconds = std::chrono::duration<double>(Clock::now() - started_).count();
  outcome.code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
  outcome.out = read_text(folder_ + "/out");
  outcome.err = said();
  return outcome;
}

std::vector<pid_t> Job::processes() const {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const pid_t process = std::atoi(entry.path().filename().c_str());
    // A zombie has an empty environment.
    if (process > 0 && process != getpid() &&
        has_variable(read_text(entry.path() / "environ"), mark_)) {
      found.push_back(process);
    }
  }
  return found;
}

pid_t Job::rank(int rank) {
  while (running()) {
    for (const pid_t process : processes()) {
      const std::string place = "/proc/" + std::to_string(process);
      std::error_code error;
      const fs::path program = fs::read_symlink(place + "/exe", error);
      if (program.filename() == "troupe" &&
          has_variable(read_text(place + "/environ"),
                       "OMPI_COMM_WORLD_RANK=" + std::to_string(rank))) {
        return process;
      }
    }
    std::this_thread::sleep_for(kPoll);
  }
  return -1;
}

bool Job::gone_within(std::chrono::milliseconds limit) const {
  const auto end = Clock::now() + limit;
  for (;;) {
    collect_orphans(pid_);
    const std::vector<pid_t> left = processes();
    if (left.empty()) return true;
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(kPoll);
  }
}

std::vector<std::string> Job::left_overs() const {
  std::vector<std::string> found;
  for (const std::string& place : {folder_ + "/tmp", folder_ + "/cwd", memory_}) {
    for (const auto& entry : fs::recursive_directory_iterator(place)) {
      if (!entry.is_directory()) found.push_back(entry.path());
    }
  }
  return found;
}

std::string Job::said() const { return read_text(folder_ + "/err"); }

bool Job::says(const std::string& text) {
  const auto end = Clock::now() + std::chrono::seconds(60);
  for (;;) {
    const bool alive = running();
    if (said().find(text) != std::string::npos) return true;
    if (!alive || Clock::now() > end) return false;
    std::this_thread::sleep_for(kPoll);
  }
}

std::vector<std::string> alone(const std::vector<std::string>& words) {
  std::vector<std::string> line{TROUPE_BINARY_DIR "/troupe"};
  line.insert(line.end(), words.begin(), words.end());
  return line;
}

std::vector<std::string> under_mpirun(int ranks, const std::vector<std::string>& words) {
  std::vector<std::string> line{"mpirun",
                                "--oversubscribe",
                                "--bind-to",
                                "none",
                                "-n",
                                std::to_string(ranks),
                                TROUPE_BINARY_DIR "/troupe"};
  line.insert(line.end(), words.begin(), words.end());
  return line;
}

Outcome run(const std::vector<std::string>& words, const std::string& input,
            std::chrono::seconds limit) {
  Job job(words, input);
  Outcome outcome = job.wait(limit);
  EXPECT_FALSE(outcome.expired) << outcome.err;
  EXPECT_TRUE(job.gone_within(std::chrono::seconds(5))) << outcome.err;
  const std::vector<std::string> left = job.left_overs();
  EXPECT_TRUE(left.empty()) << left.front();
  return outcome;
}

}  // namespace troupe::program
