// A run directory that was moved or copied still evaluates, generates and goes on.
#include <filesystem>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;

class Moved : public TinyRun {};

TEST_F(Moved, FindsItsDataOrSaysWhereItLooked) {
  ASSERT_EQ(run(alone(train("run", {}))).code, 0);
  const Outcome here = run(alone({"eval", path("run"), "--json"}));
  ASSERT_EQ(here.code, 0) << here.err;
  const auto loss = [](const Outcome& outcome) {
    return nlohmann::json::parse(outcome.out)["nats_per_token"];
  };
  fs::create_directories(path("deep/er/place"));
  fs::rename(path("run"), path("deep/er/place/run"));
  const Outcome alone_moved = run(alone({"eval", path("deep/er/place/run"), "--json"}));
  ASSERT_EQ(alone_moved.code, 0) << alone_moved.err;
  EXPECT_EQ(loss(alone_moved), loss(here));
  const Outcome written =
      run(alone({"generate", path("deep/er/place/run"), "--tokens", "5", "--prompt", "the"}));
  EXPECT_EQ(written.code, 0) << written.err;
  // Neither beside the run as before, nor where it was: both places are named.
  fs::rename(path("text.txt"), path("elsewhere"));
  const Outcome lost = run(alone({"eval", path("deep/er/place/run")}));
  EXPECT_EQ(lost.code, 3) << lost.err;
  EXPECT_NE(lost.err.find(path("deep/er/place/text.txt")), std::string::npos) << lost.err;
  EXPECT_NE(lost.err.find(path("text.txt")), std::string::npos) << lost.err;
  fs::rename(path("elsewhere"), path("text.txt"));

  const Outcome resumed = run(alone({"train", path("deep/er/place/run/config.resolved.yaml"),
                                     "run.dir=" + path("deep/er/place/run"), "train.steps=14"}));
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(rows("deep/er/place/run").size(), 14U);
}

}  // namespace
}  // namespace troupe::program
