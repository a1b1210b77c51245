#include "launch/training/instructions_of_ranks.h"

#include <gtest/gtest.h>

#include "parallel/comm/thread/thread_world.h"

namespace troupe {
namespace {

using kernels::cpu::InstructionSet;

TEST(InstructionsOfRanks, EveryRankKnowsThoseOfAll) {
  const std::vector<InstructionSet> sets{InstructionSet::avx512_bf16, InstructionSet::avx2,
                                         InstructionSet::amx};
  run_ranks(3, [&](int rank, const std::shared_ptr<Communicator>& world) {
    const auto all = instructions_of_ranks(sets[static_cast<size_t>(rank)], *world, Device::cpu(1));
    EXPECT_EQ(all, sets);
  });
}

TEST(InstructionsOfRanks, AreNamedOnceWhereTheyAreAlike) {
  EXPECT_EQ(describe(std::vector(5, InstructionSet::avx512)), "avx512");
  EXPECT_EQ(describe({InstructionSet::avx512, InstructionSet::avx2, InstructionSet::avx512}),
            "avx2 (rank 1), avx512 (ranks 0, 2)");
  std::vector<InstructionSet> many(100, InstructionSet::avx2);
  many[7] = InstructionSet::amx;
  EXPECT_EQ(describe(many), "avx2 (99 ranks: 0, 1, 2, 3, ...), amx (rank 7)");
}

}  // namespace
}  // namespace troupe
