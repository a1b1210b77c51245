// Attention cut over the ranks of mpirun: the same bits as on ranks as threads.
#include <gtest/gtest.h>

#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/cp/cut_attention.h"
#include "tests/support/mpi_test.h"

namespace troupe::testing {
namespace {

TEST(ContextAttentionMpi, SameBitsAsThreads) {
  const auto& world = mpi_test_world().communicator();
  const int cp = world->size();
  const AttentionCase c{2, 16 * 3 * cp, 2 * cp, 2, 8, 50, true};
  for (CpKind kind : {CpKind::ring, CpKind::all_to_all}) {
    for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      const Parallelism parallelism = context_parallelism(kind, cp);
      const Mesh mesh(parallelism, world);
      const CutResult mine = cut_attention(c, dtype, mesh, Device::cpu(1));
      AttentionResult on_threads;
      run_ranks(cp, [&](int rank, const auto& threads) {
        const Mesh thread_mesh(parallelism, threads);
        const CutResult cut = cut_attention(c, dtype, thread_mesh, Device::cpu(1));
        if (rank == world->rank()) on_threads = cut.result;
      });
      EXPECT_EQ(mine.result, on_threads) << name(dtype);
      EXPECT_LE(worst_difference(whole_attention(c, DType::f64),
                                 gathered_attention(c, DType::f64, parallelism)),
                1e-13);
    }
  }
}

}  // namespace
}  // namespace troupe::testing
