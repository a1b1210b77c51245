#include "tests/cluster/cluster.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>
#include <thread>

#include "tests/program/job.h"

namespace troupe::cluster {
namespace {

namespace fs = std::filesystem;
constexpr const char* kScript = TROUPE_SOURCE_DIR "/launch/scripts/emulated-hosts";

program::Outcome call(const std::vector<std::string>& words) {
  program::Job job(words);
  return job.wait();
}

}  // namespace

Cluster::Cluster(int hosts) {
  std::string pattern = "/tmp/troupe-cluster-XXXXXX";
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  folder_ = pattern;
  int channel[2];
  EXPECT_EQ(pipe2(channel, O_CLOEXEC), 0);
  input_ = channel[1];
  process_ = fork();
  if (process_ == 0) {
    dup2(channel[0], STDIN_FILENO);
    const int said = open((folder_ + "/said").c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(said, STDERR_FILENO);
    execl(kScript, kScript, "up", folder_.c_str(), std::to_string(hosts).c_str(), nullptr);
    _exit(127);
  }
  close(channel[0]);
  int status = 0;
  while (!fs::exists(folder_ + "/ready")) {
    if (waitpid(process_, &status, WNOHANG) == process_) {
      process_ = -1;
      refusal_ = program::read_text(folder_ + "/said");
      constexpr int kNotAllowed = 77;
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kNotAllowed) << refusal_;
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  // The remote shell of mpirun, in the environment of whatever this process starts.
  setenv("OMPI_MCA_plm_rsh_agent", (std::string(kScript) + " ssh " + folder_).c_str(), 1);
}

Cluster::~Cluster() {
  close(input_);
  if (process_ > 0) waitpid(process_, nullptr, 0);
  unsetenv("OMPI_MCA_plm_rsh_agent");
  std::error_code error;
  fs::remove_all(folder_, error);
}

std::vector<std::string> Cluster::on(int host, const std::vector<std::string>& words) const {
  std::vector<std::string> line{kScript, "on", folder_, std::to_string(host)};
  line.insert(line.end(), words.begin(), words.end());
  return line;
}

std::string Cluster::ask(int host, const std::vector<std::string>& words) const {
  const program::Outcome outcome = call(on(host, words));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return outcome.out;
}

void Cluster::link(int host, const std::string& state) const {
  const program::Outcome outcome = call({kScript, "link", folder_, std::to_string(host), state});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

void Cluster::lose(int host) const {
  const program::Outcome outcome = call({kScript, "lose", folder_, std::to_string(host)});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

std::vector<std::string> Cluster::left_overs(int host) const {
  std::vector<std::string> found;
  const std::string temporary = folder_ + "/host" + std::to_string(host);
  std::istringstream files(ask(host, {"find", temporary, "/dev/shm", "-type", "f"}));
  for (std::string file; std::getline(files, file);) found.push_back(file);
  return found;
}

}  // namespace troupe::cluster
