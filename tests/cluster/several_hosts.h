// Runs of the tiny model over several hosts.
#pragma once

#include <string>
#include <vector>

#include "tests/cluster/cluster.h"
#include "tests/program/tiny_run.h"

namespace troupe::cluster {

class HostRun : public program::TinyRun {
 protected:
  // The line that launches a command of the program from host1.
  static std::vector<std::string> launch_words(const Cluster& cluster,
                                               const std::vector<std::string>& options,
                                               const std::vector<std::string>& rest) {
    std::vector<std::string> words = program::alone({"launch"});
    words.insert(words.end(), options.begin(), options.end());
    words.push_back("--");
    words.insert(words.end(), rest.begin(), rest.end());
    return cluster.on(1, words);
  }
  // The same for a training.
  std::vector<std::string> launch(const Cluster& cluster, const std::vector<std::string>& options,
                                  const std::string& name,
                                  const std::vector<std::string>& keys) const {
    return launch_words(cluster, options, train(name, keys));
  }
  static program::Outcome run_to_end(const Cluster& cluster, const std::vector<std::string>& line,
                                     int hosts) {
    const program::Outcome outcome = program::run(line);
    for (int host = 1; host <= hosts; ++host) {
      const std::vector<std::string> left = cluster.left_overs(host);
      EXPECT_TRUE(left.empty()) << "host" << host << ": " << left.front();
    }
    return outcome;
  }
};

}  // namespace troupe::cluster
