#include "tests/support/law_check.h"

#include <gtest/gtest.h>

#include <array>

#include "models/engine/batch_tensors.h"
#include "models/verify/difference.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe::laws {

void expect_same_training(const LawResult& reference, const LawResult& result,
                          const std::string& what) {
  std::string where;
  EXPECT_LE(worst_difference(reference.gradients, result.gradients, where), 1e-10)
      << what << ": gradient of " << where;
  EXPECT_LE(worst_difference(reference.parameters, result.parameters, where), 1e-10)
      << what << ": " << where;
  EXPECT_LE(worst_difference(reference.losses, result.losses), 1e-10) << what;
  EXPECT_LE(worst_difference(reference.balance_losses, result.balance_losses), 1e-10) << what;
  EXPECT_LE(worst_difference(reference.z_losses, result.z_losses), 1e-10) << what;
  EXPECT_LE(worst_difference(reference.norms, result.norms), 1e-10) << what;
  ASSERT_EQ(reference.terms.size(), result.terms.size()) << what;
  for (size_t step = 0; step < reference.terms.size(); ++step) {
    ASSERT_EQ(reference.terms[step].size(), result.terms[step].size()) << what;
    for (size_t i = 0; i < reference.terms[step].size(); ++i)  // some are zero but for rounding
      EXPECT_NEAR(reference.terms[step][i], result.terms[step][i], 1e-12) << what << ", term " << i;
  }
  EXPECT_EQ(reference.counts, result.counts) << what;
}

void expect_same_training(LayoutRun law, const LawResult& reference, const Parallelism& layout,
                          const std::string& what) {
  law.layout = layout;
  expect_same_training(reference, run_law_on_threads(law, layout.shape.world()), what);
}

void expect_bits_of_zero_2_between_steps(const EngineConfig& engine) {
  std::array<std::vector<double>, 2> seen;
  for (const int zero : {2, 3}) {
    run_ranks(2, [&](int rank, std::shared_ptr<Communicator> world) {
      const auto device = Device::cpu(1);
      world->world().set_device(device);
      Parallelism layout(MeshShape::of({.dp = 2, .ep = 2}));
      layout.zero = zero;
      const Mesh mesh(layout, world);
      TrainingEngine trained(engine, mesh, device);
      std::vector<double> values;
      for (int step = 0; step < 2; ++step) {
        values.push_back(trained.step(step, law_batches(trained, step)).loss);
        BatchTensors batch = to_tensors(law_batches(trained, step)(0), false, device);
        batch.context.global_sequences = engine.global_batch;
        batch.context.global_tokens = engine.global_batch * engine.model.seq_len;
        batch.context.micro_batch = engine.micro_batch;
        for (double nll : trained.model().nll(batch.context, batch.targets).values())
          values.push_back(nll);
        ModelCache cache = trained.model().make_cache(6);
        for (const std::vector<int32_t>& ids : {std::vector<int32_t>{1, 2, 3}, {4}}) {
          for (double logit : trained.model().decode(ids, cache).values()) values.push_back(logit);
        }
      }
      if (rank == 1) seen[static_cast<size_t>(zero - 2)] = values;
    });
  }
  EXPECT_FALSE(seen[0].empty());
  EXPECT_EQ(seen[1], seen[0]);
}

}  // namespace troupe::laws
