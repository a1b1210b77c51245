#include "parallel/cp/context_attention.h"

#include <gtest/gtest.h>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/cp/cut_attention.h"

namespace troupe::testing {
namespace {

std::string text(const AttentionCase& c) {
  return fmt::format("B {} S {} heads {} of {} hd {} window {} documents {}", c.sequences,
                     c.seq_len, c.heads, c.kv_heads, c.head_dim, c.window, c.documents);
}

// S is a multiple of 2 * 2, 2 * 3 and 2 * 4; chunks of 1 to 150 / 8 positions, and longer than one
// block of 64.
const std::vector<AttentionCase> kCases = {
    {1, 24, 12, 1, 4},      {3, 24, 12, 12, 5},         {2, 24, 12, 4, 3},
    {1, 48, 12, 3, 8, 5},   {3, 48, 12, 2, 4, 0, true}, {2, 240, 12, 6, 7, 31, true},
    {1, 408, 12, 4, 16, 1}, {1, 816, 12, 12, 4, 150},   {2, 24, 12, 2, 4, 1000},
};

void expect_one_function(CpKind kind, DType dtype, double tolerance) {
  for (const AttentionCase& c : kCases) {
    const AttentionResult whole = whole_attention(c, dtype);
    for (int cp : {1, 2, 3, 4}) {
      SCOPED_TRACE(fmt::format("{} cp {}", text(c), cp));
      const AttentionResult cut = gathered_attention(c, dtype, context_parallelism(kind, cp));
      EXPECT_LE(worst_difference(whole, cut), tolerance);
      if (cp == 1) {
        EXPECT_EQ(whole, cut);
      }
    }
  }
}

TEST(ContextAttention, RingIsTheAttentionOfOneRank) {
  expect_one_function(CpKind::ring, DType::f64, 1e-13);
}
TEST(ContextAttention, AllToAllIsTheAttentionOfOneRank) {
  expect_one_function(CpKind::all_to_all, DType::f64, 1e-13);
}
TEST(ContextAttention, InF32) {
  expect_one_function(CpKind::ring, DType::f32, 5e-6);
  expect_one_function(CpKind::all_to_all, DType::f32, 5e-6);
}
// Operands and results are rounded to bf16 in both; sums of parts are not.
TEST(ContextAttention, InBF16) {
  expect_one_function(CpKind::ring, DType::bf16, 1.2e-2);
  expect_one_function(CpKind::all_to_all, DType::bf16, 1.2e-2);
}

// kv heads fewer than cp, and places that no equal cut of the kv heads gives.
TEST(ContextAttention, AllToAllOfAnyGroups) {
  const std::vector<std::pair<AttentionCase, int>> cases = {
      {{2, 12, 6, 2, 3}, 3}, {{2, 12, 12, 4, 3}, 3},          {{1, 16, 4, 1, 3}, 4},
      {{2, 16, 8, 2, 3}, 4}, {{2, 16, 12, 4, 2, 0, true}, 2}, {{1, 16, 6, 2, 3}, 2}};
  for (const auto& [c, cp] : cases) {
    SCOPED_TRACE(fmt::format("{} cp {}", text(c), cp));
    EXPECT_LE(worst_difference(
                  whole_attention(c, DType::f64),
                  gathered_attention(c, DType::f64, context_parallelism(CpKind::all_to_all, cp))),
              1e-13);
  }
}

TEST(ContextAttention, ThreadsAndRepetitionDoNotChangeBits) {
  const AttentionCase c{2, 240, 6, 3, 16, 90, true};
  for (CpKind kind : {CpKind::ring, CpKind::all_to_all}) {
    for (DType dtype : {DType::f32, DType::bf16}) {
      const AttentionResult once = gathered_attention(c, dtype, context_parallelism(kind, 3), 1);
      EXPECT_EQ(once, gathered_attention(c, dtype, context_parallelism(kind, 3), 1));
      EXPECT_EQ(once, gathered_attention(c, dtype, context_parallelism(kind, 3), 2));
    }
  }
}

TEST(ContextAttention, BytesAreTheCountedOnes) {
  for (const AttentionCase& c :
       {AttentionCase{2, 24, 12, 4, 3}, AttentionCase{2, 24, 12, 1, 3, 4, true}}) {
    for (CpKind kind : {CpKind::ring, CpKind::all_to_all}) {
      for (int cp : {1, 2, 3, 4}) {
        for (DType dtype : {DType::f32, DType::bf16}) {
          const ContextBytes expected = context_attention_bytes(
              kind, cp, c.sequences * c.seq_len / cp, c.heads, c.kv_heads, c.head_dim, dtype);
          const Parallelism parallelism = context_parallelism(kind, cp);
          run_ranks(cp, [&](int, const auto& world) {
            const Mesh mesh(parallelism, world);
            const ContextBytes counted = cut_attention(c, dtype, mesh, Device::cpu(1)).bytes;
            EXPECT_EQ(counted.forward, expected.forward);
            EXPECT_EQ(counted.backward, expected.backward);
          });
        }
      }
    }
  }
}

// The parts hold only one block of scores at a time, and two parts of the keys.
TEST(ContextAttention, MemoryOfARankIsLinearInItsTokens) {
  for (CpKind kind : {CpKind::ring, CpKind::all_to_all}) {
    const auto peak = [&](int64_t seq_len) {
      double most = 0;
      run_ranks(2, [&](int rank, const auto& world) {
        const Mesh mesh(context_parallelism(kind, 2), world);
        const auto device = Device::cpu(1);
        world->world().set_device(device);
        cut_attention({1, seq_len, 2, 2, 16}, DType::f32, mesh, device);
        if (rank == 0) most = static_cast<double>(device->memory().total.peak);
      });
      return most;
    };
    EXPECT_LE(peak(2048), 2.4 * peak(1024));
  }
}

TEST(ContextAttention, WithoutAGradientNothingIsKept) {
  run_ranks(2, [](int, const auto& world) {
    const Mesh mesh(context_parallelism(CpKind::ring, 2), world);
    const TokenSharding sharding(mesh.parallelism(), mesh.coordinates(), 1, 8);
    const Tensor x = Tensor::full({1, 4, 2, 3}, DType::f32, 1.0, Device::cpu(1));
    EXPECT_FALSE(context_attention(x, x, x, {}, sharding, mesh, "a").needs_gradient());
  });
}

TEST(ContextAttention, RefusesWhatDoesNotFit) {
  run_ranks(2, [](int, const auto& world) {
    const Mesh mesh(context_parallelism(CpKind::all_to_all, 2), world);
    const TokenSharding sharding(mesh.parallelism(), mesh.coordinates(), 1, 8);
    const Tensor odd = Tensor::full({1, 4, 3, 2}, DType::f32, 1.0, Device::cpu(1));
    try {
      context_attention(odd, odd, odd, {}, sharding, mesh, "a");
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      EXPECT_NE(std::string(error.what()).find("3 query heads"), std::string::npos);
    }
    const Tensor short_one = Tensor::full({1, 3, 2, 2}, DType::f32, 1.0, Device::cpu(1));
    EXPECT_THROW(context_attention(short_one, short_one, short_one, {}, sharding, mesh, "a"),
                 Error);
  });
}

}  // namespace
}  // namespace troupe::testing
