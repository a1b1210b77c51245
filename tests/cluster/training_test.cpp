// What a training over several hosts promises: the layout law, checkpoints, hierarchical exchange
// and router smile, under OpenMPI with TCP between the hosts.
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/cluster/several_hosts.h"

namespace troupe::cluster {
namespace {

using namespace program;

class HostTraining : public HostRun {
 protected:
  // Step by step: loss, gradient norm and held-out loss to 1e-5, router counts exactly.
  void expect_close_rows(const std::string& a, const std::string& b, int steps) const {
    const std::vector<nlohmann::json> first = rows(a);
    const std::vector<nlohmann::json> second = rows(b);
    ASSERT_EQ(first.size(), static_cast<size_t>(steps)) << a;
    ASSERT_EQ(second.size(), static_cast<size_t>(steps)) << b;
    for (size_t i = 0; i < first.size(); ++i) {
      for (const auto& [key, value] : first[i].items()) {
        const nlohmann::json& other = second[i].at(key);
        if (value.is_number_float()) {
          EXPECT_NEAR(value.get<double>(), other.get<double>(),
                      1e-5 * (1 + std::abs(value.get<double>())))
              << key << " in step " << i + 1;
        } else {
          EXPECT_EQ(value, other) << key << " in step " << i + 1;
        }
      }
    }
  }
};

// On ranks of several hosts the verifier compares every layout with one rank.
TEST_F(HostTraining, KeepTheLayoutLaw) {
  const std::string layouts =
      "dp=4,ep=4,ep_kind=hierarchical;dp=2,tp=2,ep=2,etp=2;cp=2,dp=2,ep=2,zero=1;pp=2,dp=2,ep=2";
  const std::vector<std::string> verify{"verify",    path("tiny.yaml"), "run.dir=" + path("proof"),
                                        "--layouts", layouts,           "--steps",
                                        "2"};
  for (const int hosts : {2, 4}) {
    const Cluster several(hosts);
    NEED(several);
    const std::string list = hosts == 2 ? "host1:2,host2:2" : "host1:1,host2:1,host3:1,host4:1";
    const Outcome outcome =
        run_to_end(several, launch_words(several, {"--hosts", list}, verify), hosts);
    EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
    const nlohmann::json proof = nlohmann::json::parse(read_text(path("proof/certificate.json")));
    EXPECT_EQ(proof["layouts"].size(), 4U) << outcome.out;
    EXPECT_TRUE(proof["refused"].empty()) << outcome.out;
    EXPECT_LE(proof["worst"].get<double>(), 1e-10);
  }
}

// Saved on two hosts by four ranks, gone on with by two ranks on one and by four on four: the same
// bits as a job that did the same on one host.
TEST_F(HostTraining, ContinueFromTheCheckpointOfOtherHosts) {
  const Cluster four(4);
  NEED(four);
  const auto go_on = [&](const std::string& name) {
    return std::vector<std::string>{"parallel.ep=2", "checkpoint.resume=" + checkpoint(name, 4)};
  };
  ASSERT_EQ(run(under_mpirun(4, train("one", {"parallel.ep=2"}))).code, 0);
  const Outcome two =
      run_to_end(four, launch(four, {"--hosts", "host1:2,host2:2"}, "two", {"parallel.ep=2"}), 2);
  ASSERT_EQ(two.code, 0) << two.err;
  expect_equal("one", "two", 12);
  ASSERT_EQ(run(under_mpirun(2, train("one-on-two", go_on("one")))).code, 0);
  const Outcome one_host =
      run_to_end(four, launch(four, {"--hosts", "host3:2"}, "on-one", go_on("two")), 4);
  ASSERT_EQ(one_host.code, 0) << one_host.err;
  expect_equal("one-on-two", "on-one", 12);
  const Outcome all = run_to_end(
      four, launch(four, {"--hosts", "host1:1,host2:1,host3:1,host4:1"}, "on-four", go_on("two")),
      4);
  ASSERT_EQ(all.code, 0) << all.err;
  expect_equal("one", "on-four", 12);
}

// Router smile with its groups on the hosts: the same bits as on one host that is told where the
// nodes would be.
TEST_F(HostTraining, SmileOnTwoHostsEqualsOne) {
  const std::vector<std::string> keys{"moe.router={type: smile, groups: 2, top_k: 2}",
                                      "parallel.ep=4", "parallel.ep_kind=hierarchical"};
  const Cluster two(2);
  NEED(two);
  std::vector<std::string> told = keys;
  told.emplace_back("parallel.ranks_per_node=2");
  const Outcome one = run(under_mpirun(4, train("one", told)));
  ASSERT_EQ(one.code, 0) << one.err;
  const Outcome outcome =
      run_to_end(two, launch(two, {"--hosts", "host1:2,host2:2"}, "two", keys), 2);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  expect_equal("one", "two", 12);
  expect_equal_rows("one", "two", 12);
}

// Sums are taken in another order, so the values are close, not the bits.
TEST_F(HostTraining, HierarchicalEqualsFlat) {
  const Cluster two(2);
  NEED(two);
  for (const std::string kind : {"flat", "hierarchical"}) {
    const Outcome outcome =
        run_to_end(two,
                   launch(two, {"--hosts", "host1:2,host2:2"}, kind,
                          {"parallel.ep=4", "parallel.ep_kind=" + kind, "precision.compute=f64"}),
                   2);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  expect_close_rows("flat", "hierarchical", 12);
}

// The benchmark makes hosts of its own; what crosses does not depend on the machine.
TEST(NodesBenchmark, MeasuresOnHostsOfItsOwn) {
  {
    const Cluster probe(1);
    NEED(probe);
  }
  const Outcome outcome = run(alone(
      {"bench", "moe_nodes", TROUPE_SOURCE_DIR "/configs/bench/moe_nodes.yaml", "eval.tokens=512",
       "--hosts", "2", "--steps", "1", "--repeats", "1", "--rate", "2gbit", "--json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const nlohmann::json bench = nlohmann::json::parse(outcome.out)["hosts"][0];
  EXPECT_EQ(bench["nodes"], 2);
  EXPECT_EQ(bench["ranks"], 4);
  EXPECT_EQ(bench["rate"], "2gbit");
  EXPECT_EQ(bench["layer"]["rows"].size(), 7U);
  EXPECT_EQ(bench["model"]["rows"].size(), 3U);
  for (size_t i = 0; i < 3; ++i)  // those that are not timed
    EXPECT_TRUE(bench["figures"][i]["met"]) << bench["figures"];
}

// However it is ended, neither a host nor a rank on it is left.
TEST(NodesBenchmark, LeavesNoHosts) {
  {
    const Cluster probe(1);
    NEED(probe);
  }
  for (const int signal : {SIGTERM, SIGKILL}) {
    Job job(alone({"bench", "moe_nodes", TROUPE_SOURCE_DIR "/configs/bench/moe_nodes.yaml",
                   "--hosts", "2", "--rate", "1mbit"}));
    ASSERT_TRUE(job.says("mpirun"));
    kill(job.pid(), signal);
    EXPECT_TRUE(job.gone_within(std::chrono::seconds(5))) << signal;
    const std::vector<std::string> left = job.left_overs();
    EXPECT_TRUE(left.empty()) << signal << " " << left.front();
  }
}

TEST(NodesBenchmark, SaysWhatIsNotAllowed) {
  {
    const Cluster probe(1);
    NEED(probe);
  }
  const Outcome outcome =
      run(alone({"bench", "moe_nodes", TROUPE_SOURCE_DIR "/configs/bench/moe_nodes.yaml", "--hosts",
                 "2", "--rate", "fast"}));
  EXPECT_EQ(outcome.code, 5) << outcome.err;
  EXPECT_NE(outcome.err.find("no limit of fast here"), std::string::npos) << outcome.err;
  EXPECT_NE(outcome.err.find("which this machine does not allow"), std::string::npos);
}

}  // namespace
}  // namespace troupe::cluster
