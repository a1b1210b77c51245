// A state that does not fit the file, or ranks that do not fit each other: refused by name.
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/coverage_plan.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe {
namespace {

using checkpoint::Claim;
using test::make_blank;
using test::make_state;

const MeshShape kOne = MeshShape::data_expert(1, 1);

StateTensor& tensor(State& state, const std::string& name) {
  for (StateTensor& entry : state.tensors) {
    if (entry.name == name) return entry;
  }
  throw std::runtime_error("no tensor " + name);
}

void resize(StateTensor& entry, const Shape& shape, DType dtype) {
  entry.layout = Layout::replicated(shape, MeshKind::attention, {});
  Shape zero = shape;
  for (int i = 0; i < zero.rank(); ++i) zero[i] = 0;
  entry.box = {zero, shape};
  entry.tensor = Tensor::empty(shape, dtype, Device::cpu());
}

class CheckpointMismatch : public testing::Test {
 protected:
  void SetUp() override {
    path_ = dir_ / "step-00000001.h5";
    checkpoint::save(path_, make_state(kOne, 0, Device::cpu(), 1), *world_);
  }
  // Code 4 and a message that has all of `words`.
  void expect_refused(State& state, const std::vector<std::string>& words,
                      const checkpoint::LoadOptions& options = {}) {
    try {
      checkpoint::load(path_, state, *world_, options);
      FAIL() << "loaded";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::checkpoint) << error.what();
      for (const std::string& word : words) {
        EXPECT_NE(std::string(error.what()).find(word), std::string::npos)
            << word << " in " << error.what();
      }
    }
  }
  test::TemporaryDirectory dir_;
  std::shared_ptr<Communicator> world_ = self_communicator();
  std::string path_;
};

TEST_F(CheckpointMismatch, MissingTensor) {
  State state = make_blank(kOne, 0, Device::cpu());
  tensor(state, "parameters/embedding").name = "parameters/embeddings";
  expect_refused(state, {"parameters/embeddings", "missing", "parameters/embedding ", "no place"});
}

TEST_F(CheckpointMismatch, ExtraTensorOnlyMattersWhenAllIsWanted) {
  State state = make_blank(kOne, 0, Device::cpu());
  std::erase_if(state.tensors,
                [](const StateTensor& t) { return t.name.rfind("parameters/", 0) != 0; });
  state.scalars.resize(1);
  expect_refused(state, {"optimizer/first_moment/embedding", "no place"});
  checkpoint::load(path_, state, *world_, {.prefixes = {"parameters/"}});
  EXPECT_EQ(std::get<int64_t>(state.scalars[0].value), 1);
  std::erase_if(state.tensors, [](const auto& t) { return t.name == "parameters/embedding"; });
  expect_refused(state, {"parameters/embedding"}, {.prefixes = {"parameters/"}});
}

TEST_F(CheckpointMismatch, ShapeAndType) {
  State state = make_blank(kOne, 0, Device::cpu());
  resize(tensor(state, "parameters/embedding"), Shape{37, 13}, DType::f32);
  resize(tensor(state, "router/layers.0.bias"), Shape{8}, DType::f32);
  expect_refused(state, {"parameters/embedding", "[37, 12]", "[37, 13]", "router/layers.0.bias",
                         "f64", "f32"});
}

TEST_F(CheckpointMismatch, Scalars) {
  State state = make_blank(kOne, 0, Device::cpu());
  state.scalars[0].name = "steps";
  state.scalars[1].value = int64_t{3};
  expect_refused(state, {"the value steps is missing", "the value step of", "lr is a real number"});
}

TEST(CheckpointRanks, OtherScalarsOnOneRankAreABug) {
  const test::TemporaryDirectory dir;
  const MeshShape shape = MeshShape::data_expert(2, 1);
  run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
    State state = make_state(shape, rank, Device::cpu(), 1);
    state.scalars[0].value = int64_t{rank};
    try {
      checkpoint::save(dir / "step-00000001.h5", state, *world);
      ADD_FAILURE() << "saved";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::internal);
      EXPECT_NE(std::string(error.what()).find("rank 1"), std::string::npos);
    }
  });
  EXPECT_TRUE(test::names_in(dir.path()).empty());
}

// A directory that cannot be written to: code 5 on each rank, not on rank 0 alone.
TEST(CheckpointRanks, AFailureOfRank0IsEveryRanks) {
  const test::TemporaryDirectory dir;
  test::write_file(dir / "file", "in the way");
  const MeshShape shape = MeshShape::data_expert(4, 4);
  std::array<int, 4> codes{};
  run_ranks(4, [&](int rank, const std::shared_ptr<Communicator>& world) {
    try {
      checkpoint::save(dir / "file/step-00000001.h5", make_state(shape, rank, Device::cpu(), 1),
                       *world);
    } catch (const Error& error) {
      codes[static_cast<size_t>(rank)] = static_cast<int>(error.code());
    }
  });
  EXPECT_EQ(codes, (std::array<int, 4>{5, 5, 5, 5}));
}

// --- the proof of coverage ---

Claim claim(const std::string& name, int64_t begin, int64_t size) {
  return {name, DType::f32, Shape{10, 2}, {Shape{begin, 0}, Shape{size, 2}}};
}

std::string refusal(const std::vector<std::vector<Claim>>& claims) {
  try {
    checkpoint::make_plan(claims);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::internal);
    return error.what();
  }
  return "";
}

TEST(CoveragePlan, OneHolderWritesASmallBox) {
  const auto plan = checkpoint::make_plan(
      {{claim("w", 5, 5)}, {claim("w", 0, 5)}, {claim("w", 5, 5)}, {claim("w", 0, 5)}, {}});
  ASSERT_EQ(plan.tensors.size(), 1U);
  ASSERT_EQ(plan.tensors[0].parts.size(), 2U);
  EXPECT_EQ(plan.tensors[0].parts[0].holders, (std::vector<int>{0, 2}));
  ASSERT_EQ(plan.tensors[0].shares.size(), 2U);
  EXPECT_EQ(plan.tensors[0].shares[0].writer, 0);
  EXPECT_EQ(plan.tensors[0].shares[1].writer, 1);
}

TEST(CoveragePlan, OverlapGapAndDisagreementAreNamed) {
  const auto has = [](const std::string& text, const std::string& word) {
    return text.find(word) != std::string::npos;
  };
  const std::string twice = refusal({{claim("w", 0, 6)}, {claim("w", 5, 5)}});
  EXPECT_TRUE(has(twice, "w would be written twice") && has(twice, "[5:10, 0:2] by rank 1"))
      << twice;
  const std::string gap = refusal({{claim("w", 0, 4)}, {claim("w", 5, 5)}});
  EXPECT_TRUE(has(gap, "2 of 20 elements of w")) << gap;
  Claim other = claim("w", 5, 5);
  other.dtype = DType::f64;
  EXPECT_TRUE(has(refusal({{claim("w", 0, 5)}, {other}}), "f64"));
  EXPECT_TRUE(has(refusal({{claim("w", 0, 5), claim("w", 0, 5)}}), "lists [0:5, 0:2] of w twice"));
  EXPECT_TRUE(has(refusal({{claim("w", 5, 6)}}), "rank 0 holds [5:11, 0:2]"));
}

TEST(CoveragePlan, ANameMayNotBeDatasetAndFolder) {
  const test::TemporaryDirectory dir;
  const auto world = self_communicator();
  State state;
  for (const char* name : {"a", "a/b"}) {
    state.tensors.emplace_back();
    state.tensors.back().name = name;
    resize(state.tensors.back(), Shape{2}, DType::f32);
  }
  try {
    checkpoint::save(dir / "step-00000001.h5", state, *world);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/a is both"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace troupe
