// Saved on any dp x ep, loaded on any other: the same bits; and the file does not know the layout.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <atomic>
#include <mutex>

#include "core/base/error.h"
#include "core/base/log.h"
#include "parallel/checkpoint/boxes.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/coverage_plan.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe {
namespace {

using test::difference;
using test::make_blank;
using test::make_state;

constexpr std::array<std::pair<int, int>, 5> kLayouts = {{{1, 1}, {2, 1}, {2, 2}, {4, 2}, {4, 4}}};

// Runs f(rank, mesh shape, device, world) on the thread ranks of a layout.
template <typename F>
void on_ranks(std::pair<int, int> layout, F f) {
  const MeshShape shape = MeshShape::data_expert(layout.first, layout.second);
  run_ranks(layout.first, [&](int rank, std::shared_ptr<Communicator> world) {
    f(rank, shape, Device::cpu(), *world);
  });
}

void save_on(std::pair<int, int> layout, const std::string& path, uint64_t seed,
             int64_t piece_bytes) {
  on_ranks(layout, [&](int rank, const MeshShape& shape, const auto& device, Communicator& world) {
    checkpoint::SaveOptions options{.config = "version: 1\n", .piece_bytes = piece_bytes};
    checkpoint::save(path, make_state(shape, rank, device, seed), world, options);
  });
}

std::string load_on(std::pair<int, int> layout, const std::string& path, uint64_t seed,
                    int64_t piece_bytes) {
  std::string found;
  std::mutex mutex;
  on_ranks(layout, [&](int rank, const MeshShape& shape, const auto& device, Communicator& world) {
    State state = make_blank(shape, rank, device);
    checkpoint::load(path, state, world, {.prefixes = {}, .piece_bytes = piece_bytes});
    const std::string mine = difference(make_state(shape, rank, device, seed), state);
    const std::lock_guard<std::mutex> lock(mutex);
    if (!mine.empty()) found = "rank " + std::to_string(rank) + ": " + mine;
  });
  return found;
}

class FromLayout : public testing::TestWithParam<std::pair<int, int>> {};

TEST_P(FromLayout, EveryLayoutLoadsTheSameBitsAndTheFileIsTheSame) {
  const test::TemporaryDirectory dir;
  const std::string path = dir / "step-00000003.h5";
  save_on(kLayouts[0], path, 3, 1 << 20);
  const std::string first = test::read_file(path);
  for (const int64_t piece_bytes : {int64_t{24}, int64_t{1} << 20}) {
    save_on(GetParam(), path, 3, piece_bytes);
    EXPECT_TRUE(test::read_file(path) == first)
        << "the bytes of the file depend on the layout, or on pieces of " << piece_bytes;
    for (const auto& to : kLayouts) {
      EXPECT_EQ(load_on(to, path, 3, piece_bytes), "") << " -> " << to.first << "x" << to.second;
    }
  }
  EXPECT_EQ(test::names_in(dir.path()), std::vector<std::string>{"step-00000003.h5"});
}

INSTANTIATE_TEST_SUITE_P(CheckpointLayouts, FromLayout, testing::ValuesIn(kLayouts),
                         [](const auto& info) {
                           return fmt::format("dp{}_ep{}", info.param.first, info.param.second);
                         });

// Large enough to be cut among the ranks that hold it: rows of whole tensors, and columns of one
// that is already cut by columns.
State large_state(const MeshShape& shape, int rank, const std::shared_ptr<Device>& device) {
  const auto add = [&](State& state, const std::string& name, const Layout& layout) {
    const LocalSlice slice = local_slice(layout, shape, coordinates(shape, rank));
    const Tensor tensor = Tensor::empty(slice.shape, DType::f32, device);
    for (const LocalPart& part : slice.parts) {
      for (int64_t i = 0; i < part.global.size[0]; ++i) {
        for (int64_t j = 0; j < part.global.size[1]; ++j) {
          tensor.data<float>()[(part.local_offset[0] + i) * slice.shape[1] + part.local_offset[1] +
                               j] =
              static_cast<float>((part.global.offset[0] + i) * 10000 + part.global.offset[1] + j);
        }
      }
    }
    append_parts(state, name, layout, slice, tensor);
  };
  State state;
  const auto whole = [](const Shape& size) {
    return Layout::replicated(size, MeshKind::experts, {Axis::edp});
  };
  add(state, "parameters/rows", whole({301, 401}));
  add(state, "parameters/short", whole({3, 40001}));
  add(state, "parameters/columns", whole({200, 2000}).shard(1, Axis::ep));
  state.scalars = {{"step", int64_t{1}}};
  return state;
}

std::string save_large(std::pair<int, int> layout, const std::string& path) {
  on_ranks(layout, [&](int rank, const MeshShape& shape, const auto& device, Communicator& world) {
    checkpoint::save(path, large_state(shape, rank, device), world,
                     {.config = {}, .piece_bytes = 100000});
  });
  return test::read_file(path);
}

TEST(CheckpointLayouts, RanksShareTheWritingOfLargeTensors) {
  const test::TemporaryDirectory dir;
  const std::string path = dir / "step-00000003.h5";
  const std::string expected = save_large({1, 1}, path);
  for (const auto& layout : {std::pair{2, 1}, {3, 1}, {4, 2}, {4, 4}}) {
    EXPECT_TRUE(save_large(layout, path) == expected) << layout.first << "x" << layout.second;
    EXPECT_NO_THROW(checkpoint::verify(path));
  }
}

TEST(CheckpointLayouts, TheWorkOfWritingIsEven) {
  run_ranks(4, [&](int rank, const std::shared_ptr<Communicator>& world) {
    const State state = large_state(MeshShape::data_expert(4, 2), rank, Device::cpu());
    const checkpoint::CoveragePlan plan = checkpoint::gather_plan(state, true, *world);
    int64_t mine = 0;
    int64_t all = 0;
    for (const auto& tensor : plan.tensors) {
      all += tensor.bytes();
      for (const auto& share : tensor.shares) {
        mine += share.writer == rank ? 4 * checkpoint::volume(share.box) : 0;
      }
    }
    EXPECT_LT(static_cast<double>(mine), 0.26 * static_cast<double>(all)) << "rank " << rank;
  });
}

// A host of its own: this thread sees an empty disk where the others see `where`.
bool see_another_disk(const std::string& where) {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", where.c_str(), "tmpfs", 0, "size=100k") == 0;
}

TEST(CheckpointLayouts, RankZeroWritesWhatTheOthersCannotReach) {
  const test::TemporaryDirectory dir;
  const std::string path = dir / "step-00000003.h5";
  save_on({1, 1}, path, 3, 1 << 20);
  const std::string expected = test::read_file(path);
  std::atomic<bool> allowed{true};
  log::configure(log::Level::error, 0, true);
  on_ranks({4, 2}, [&](int rank, const MeshShape& shape, const auto& device, Communicator& world) {
    if (rank == 2 && !see_another_disk(dir.path())) allowed = false;
    checkpoint::save(path, make_state(shape, rank, device, 3), world, {.config = "version: 1\n"});
  });
  log::configure(log::Level::info, 0, true);
  if (!allowed) GTEST_SKIP() << "no private mount namespace here: not tested";
  EXPECT_TRUE(test::read_file(path) == expected);
  EXPECT_EQ(test::names_in(dir.path()), std::vector<std::string>{"step-00000003.h5"});
}

TEST(CheckpointLayouts, OneRankAloneSavesAndLoads) {
  const test::TemporaryDirectory dir;
  const auto world = self_communicator();
  const auto device = Device::cpu();
  const MeshShape shape = MeshShape::data_expert(1, 1);
  const State state = make_state(shape, 0, device, 5);
  checkpoint::save(dir / "deeper/step-00000005.h5", state, *world);
  State loaded = make_blank(shape, 0, device);
  checkpoint::load(dir / "deeper/step-00000005.h5", loaded, *world);
  EXPECT_EQ(difference(state, loaded), "");
  const checkpoint::Info info = checkpoint::read_info(dir / "deeper/step-00000005.h5");
  EXPECT_EQ(info.tensors.size(), state.tensors.size());
  EXPECT_EQ(std::get<int64_t>(info.scalar("step")->value), 5);
  EXPECT_EQ(std::get<std::string>(info.scalar("note")->value), "");
}

}  // namespace
}  // namespace troupe
