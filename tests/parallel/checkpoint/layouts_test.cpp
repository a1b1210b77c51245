// Saved on any dp x ep, loaded on any other: the same bits; and the file does not know the layout.
#include <gtest/gtest.h>

#include <mutex>

#include "core/base/error.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread_world.h"
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

TEST(CheckpointLayouts, EveryPairIsBitEqualAndTheFileIsTheSame) {
  const test::TemporaryDirectory dir;
  std::string first;
  for (const auto& from : kLayouts) {
    for (const int64_t piece_bytes : {int64_t{24}, int64_t{1} << 20}) {
      const std::string path = dir / "step-00000003.h5";
      save_on(from, path, 3, piece_bytes);
      const std::string bytes = test::read_file(path);
      if (first.empty()) first = bytes;
      EXPECT_EQ(bytes, first) << "the bytes of the file depend on layout " << from.first << "x"
                              << from.second << " or pieces of " << piece_bytes;
      for (const auto& to : kLayouts) {
        EXPECT_EQ(load_on(to, path, 3, piece_bytes), "")
            << from.first << "x" << from.second << " -> " << to.first << "x" << to.second;
      }
    }
  }
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
