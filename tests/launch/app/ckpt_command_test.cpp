#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "launch/app/command_table.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/comm/self_communicator.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe {
namespace {

using nlohmann::json;

class CkptCommand : public testing::Test {
 protected:
  void SetUp() override {
    for (const int64_t step : {100, 200}) save(step, static_cast<double>(step));
  }
  void save(int64_t step, double value) {
    const auto world = self_communicator();
    State state;
    for (const char* name : {"parameters/a", "parameters/b"}) {
      const Shape shape{2, 3};
      state.tensors.push_back({name,
                               Layout::replicated(shape, MeshKind::attention, {}),
                               {Shape{0, 0}, shape},
                               Tensor::full(shape, DType::f32, value, Device::cpu())});
    }
    state.tensors.back().tensor.data<float>()[0] = 7;
    state.scalars = {{"step", step}, {"lr", 0.1}};
    newest_ =
        checkpoint::save_step(dir_.path(), step, 0, state, *world, {.config = "version: 1\n"});
  }
  std::string run(const std::vector<std::string>& args, int expected = 0) {
    testing::internal::CaptureStdout();
    int code = -1;
    try {
      code = find_command("ckpt")->run(args);
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
    EXPECT_EQ(code, expected);
    return testing::internal::GetCapturedStdout();
  }
  // In shards, beside the newest.
  std::string save_shards() {
    const auto world = self_communicator();
    State state;
    state.tensors.push_back({"parameters/a",
                             Layout::replicated({2, 3}, MeshKind::attention, {}),
                             {Shape{0, 0}, {2, 3}},
                             Tensor::full({2, 3}, DType::f32, 1, Device::cpu())});
    state.scalars = {{"step", int64_t{300}}};
    return checkpoint::save_step(dir_.path(), 300, 0, state, *world,
                                 {.config = "version: 1\n", .shard_above = 0});
  }
  void expect_refused(const std::vector<std::string>& args, ExitCode code) {
    try {
      find_command("ckpt")->run(args);
      FAIL() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
    }
  }
  void damage(const std::string& path) {
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  }
  test::TemporaryDirectory dir_;
  std::string newest_;
};

TEST_F(CkptCommand, ListsOldestFirst) {
  const json list = json::parse(run({"ls", dir_.path(), "--json"})).at("checkpoints");
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].at("step"), 100);
  EXPECT_EQ(list[1].at("file"), newest_);
  EXPECT_EQ(list[1].at("parameters"), 12);
  EXPECT_NE(run({"ls", dir_.path()}).find("step-00000200.h5"), std::string::npos);
  damage(newest_);
  EXPECT_NE(run({"ls", dir_.path()}, 4).find("truncated"), std::string::npos);
}

TEST_F(CkptCommand, Shows) {
  const json shown = json::parse(run({"show", dir_.path(), "--json"}));
  EXPECT_EQ(shown.at("file"), newest_);
  EXPECT_EQ(shown.at("format_version"), 1);
  EXPECT_EQ(shown.at("scalars").at("step"), 200);
  EXPECT_EQ(shown.at("scalars").at("lr"), 0.1);
  EXPECT_EQ(shown.at("tensors")[1].at("name"), "parameters/b");
  EXPECT_EQ(shown.at("tensors")[1].at("shape"), json({2, 3}));
  EXPECT_EQ(run({"show", newest_, "--config"}), "version: 1\n");
  EXPECT_NE(run({"show", newest_}).find("parameters/a"), std::string::npos);
}

TEST_F(CkptCommand, Verifies) {
  EXPECT_EQ(json::parse(run({"verify", dir_.path(), "--json"})).at("damaged"), 0);
  damage(newest_);
  EXPECT_EQ(json::parse(run({"verify", dir_.path(), "--json"}, 4)).at("damaged"), 1);
  const std::string text = run({"verify", newest_}, 4);
  EXPECT_NE(text.find(newest_), std::string::npos) << text;
}

TEST_F(CkptCommand, Diffs) {
  const std::string first = checkpoint::list(dir_.path())[0].path;
  EXPECT_NE(run({"diff", first, first}).find("all 2 tensors are equal"), std::string::npos);
  const std::string text = run({"diff", first, newest_}, 8);
  EXPECT_NE(text.find("step: 100 and 200"), std::string::npos) << text;
  EXPECT_NE(text.find("first       parameters/a: 6 elements"), std::string::npos) << text;
  const json result = json::parse(run({"diff", first, newest_, "--json"}, 8));
  EXPECT_EQ(result.at("equal"), false);
  EXPECT_EQ(result.at("first"), "parameters/a");
  EXPECT_EQ(result.at("largest").at("relative"), 1.0);
  EXPECT_EQ(result.at("tensors")[1].at("elements"), 5);
}

TEST_F(CkptCommand, Refusals) {
  expect_refused({"list", dir_.path()}, ExitCode::usage);
  expect_refused({"ls"}, ExitCode::usage);
  expect_refused({"diff", newest_}, ExitCode::usage);
  expect_refused({"show", newest_, "--jsn"}, ExitCode::usage);
  expect_refused({}, ExitCode::usage);
  expect_refused({"ls", dir_ / "none"}, ExitCode::checkpoint);
  expect_refused({"show", dir_ / "none.h5"}, ExitCode::checkpoint);
  damage(newest_);
  expect_refused({"show", newest_}, ExitCode::checkpoint);
  expect_refused({"diff", newest_, newest_}, ExitCode::checkpoint);
}

TEST_F(CkptCommand, MergeMakesOneFile) {
  const std::string manifest = save_shards();
  const json shown = json::parse(run({"show", manifest, "--json"}));
  EXPECT_EQ(shown.at("shards"), 1);
  EXPECT_EQ(json::parse(run({"ls", dir_.path(), "--json"})).at("checkpoints").size(), 3U);
  const std::string one = dir_ / "one.h5";
  const json merged = json::parse(run({"merge", manifest, one, "--json"}));
  EXPECT_EQ(merged.at("bytes"), std::filesystem::file_size(one));
  EXPECT_GT(shown.at("bytes"), merged.at("bytes"));
  EXPECT_EQ(json::parse(run({"show", one, "--json"})).at("shards"), 0);
  run({"diff", manifest, one});
  run({"verify", manifest});
  expect_refused({"merge", manifest, one}, ExitCode::usage);
  damage(manifest.substr(0, manifest.size() - 3) + ".shards/rank-0000.h5");
  expect_refused({"merge", manifest, dir_ / "two.h5"}, ExitCode::checkpoint);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "two.h5"));
  run({"verify", manifest}, 4);
}

}  // namespace
}  // namespace troupe
