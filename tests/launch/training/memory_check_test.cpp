// How much memory a run may take: the machine's, or what its control groups allow.
#include "launch/training/memory_check.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "launch/config/load.h"
#include "launch/config/run_cost.h"
#include "models/cost/estimate.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

// A made-up /proc and /sys.
class GroupLimit : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("troupe-groups-" + std::to_string(getpid()));
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << "\n";
  }
  int64_t limit() const { return group_memory_limit(root_.string()); }

 private:
  fs::path root_;
};

TEST_F(GroupLimit, NoGroupsNoLimit) { EXPECT_EQ(limit(), 0); }

TEST_F(GroupLimit, TheTopOfAContainer) {
  write("proc/self/cgroup", "0::/host/path/that/is/not/here");
  write("sys/fs/cgroup/memory.max", "3000000");
  EXPECT_EQ(limit(), 3000000);
}

TEST_F(GroupLimit, TheSmallestOnTheWayUp) {
  write("proc/self/cgroup", "0::/batch/job7/step0");
  write("sys/fs/cgroup/batch/memory.max", "9000000");
  write("sys/fs/cgroup/batch/job7/memory.max", "4000000");
  write("sys/fs/cgroup/batch/job7/step0/memory.max", "max");
  write("sys/fs/cgroup/batch/job8/memory.max", "1000");
  EXPECT_EQ(limit(), 4000000);
}

TEST_F(GroupLimit, VersionOne) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/other\n4:hugetlb,memory:/slurm/job7\n1:name=systemd:/");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712");
  write("sys/fs/cgroup/memory/slurm/job7/memory.limit_in_bytes", "5000000");
  write("sys/fs/cgroup/memory/other/memory.limit_in_bytes", "1000");
  EXPECT_EQ(limit(), 5000000);
}

TEST(MemoryCheck, NotMoreThanTheMachineHas) {
  const int64_t physical = sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGE_SIZE);
  EXPECT_GT(machine_memory(), 0);
  EXPECT_LE(machine_memory(), physical);
}

RunConfig config_of_dim(int64_t dim, const std::vector<std::string>& overrides = {}) {
  const std::string text =
      "model: {layers: 8, heads: 4, seq_len: 64, vocab: 256, dim: " + std::to_string(dim) +
      "}\ndata: {tokenizer: byte, train: none.txt}\ntrain: {steps: 1, global_batch: 2, "
      "micro_batch: 1}\n";
  return load_config_text(text, "memory.yaml", overrides, 2).config;
}

// Two ranks on this machine, each with a bit more than half of its memory.
TEST(MemoryCheck, CountsAllRanksOfTheMachine) {
  int64_t dim = 1024;
  while (2 * estimate_memory(cost_inputs(config_of_dim(dim)), 1).total_bytes <= machine_memory())
    dim += 1024;
  const RunConfig config = config_of_dim(dim);
  const int64_t one = estimate_memory(cost_inputs(config), 1).total_bytes;
  ASSERT_LT(one, machine_memory()) << "one rank alone must fit";
  EXPECT_EQ(check_memory(config, 1, 1), one);
  try {
    check_memory(config, 1, 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resource);
    EXPECT_NE(std::string(error.what()).find("for the 2 ranks of this machine"), std::string::npos)
        << error.what();
    EXPECT_NE(std::string(error.what()).find("raise parallel.tp"), std::string::npos)
        << "a model without experts: " << error.what();
  }
}

// Where a copy for a checkpoint is in the estimate, saving without it is among the cures.
TEST(MemoryCheck, NamesTheCopyForACheckpoint) {
  const std::vector<std::string> saving = {"train.steps=10", "checkpoint.every=2"};
  int64_t dim = 1024;
  while (estimate_memory(cost_inputs(config_of_dim(dim, saving)), 1).total_bytes <=
         machine_memory()) {
    dim += 1024;
  }
  const auto refusal = [&](const std::string& async) -> std::string {
    std::vector<std::string> overrides = saving;
    overrides.push_back("checkpoint.async=" + async);
    try {
      check_memory(config_of_dim(2 * dim, overrides), 1, 1);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::resource);
      return error.what();
    }
    return "";
  };
  EXPECT_NE(refusal("true").find("set checkpoint.async=false ("), std::string::npos)
      << refusal("true");
  EXPECT_NE(refusal("false"), "");
  EXPECT_EQ(refusal("false").find("checkpoint.async"), std::string::npos) << refusal("false");
}

}  // namespace
}  // namespace troupe
