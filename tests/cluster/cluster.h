// Machines of a test: network namespaces made by launch/scripts/emulated-hosts,
// gone with the object.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace troupe::cluster {

class Cluster {
 public:
  // host1 to hostN on one bridge. refusal() says why this machine does not allow it.
  explicit Cluster(int hosts);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  const std::string& refusal() const { return refusal_; }
  // The line that runs the words on a host, in the working directory and environment of the caller.
  std::vector<std::string> on(int host, const std::vector<std::string>& words) const;
  // Runs the words there and returns what they say; the test fails when their code is not 0.
  std::string ask(int host, const std::vector<std::string>& words) const;
  // "down", "up", or a rate such as "200mbit" that limits what leaves the host.
  void link(int host, const std::string& state) const;
  // The host loses its power.
  void lose(int host) const;
  // Files that jobs have left in the temporary directory and the shared memory of a host.
  std::vector<std::string> left_overs(int host) const;

 private:
  std::string folder_;
  std::string refusal_;
  pid_t process_ = -1;
  int input_ = -1;  // the hosts live as long as this end of the pipe
};

}  // namespace troupe::cluster

// Skips the test where this machine does not allow namespaces.
#define NEED(cluster) \
  if (!(cluster).refusal().empty()) GTEST_SKIP() << (cluster).refusal()
