// After the first steps a training step takes nothing from the system.
#include <gtest/gtest.h>

#include <sys/mman.h>
#include <cstdlib>

#include "launch/config/engine_config.h"
#include "launch/config/load.h"
#include "models/engine/drawn_batch.h"
#include "models/engine/training_engine.h"
#include "parallel/comm/self_communicator.h"
#include "tests/support/allocation_counter.h"

namespace troupe {
namespace {

using testing_support::allocation_counts;
using testing_support::AllocationCounts;
using testing_support::reset_allocation_counts;

constexpr int64_t kFirst = 10;  // steps before the counting begins
constexpr int64_t kSteps = 40;

const char* const kConfig = R"(
model: {layers: 2, dim: 64, heads: 4, kv_heads: 2, ffn_dim: 128, seq_len: 128, vocab: 512}
moe: {experts: 8, ffn_dim: 96, router: {type: topk, top_k: 2}}
data: {tokenizer: byte, train: none.txt}
train: {steps: 40, global_batch: 4, micro_batch: 2}
)";

struct StepRecord {
  int64_t rows = 0;             // most rows that an expert got in a micro-batch
  int64_t device_requests = 0;  // to the system, by the device, in the step
  AllocationCounts counts;
};

std::vector<StepRecord> train_one_rank(const std::string& precision, bool balanced, int seed = 1) {
  const RunConfig config =
      load_config_text(kConfig, "steady.yaml",
                       {"precision.compute=" + precision, "run.seed=" + std::to_string(seed)}, 1)
          .config;
  const auto world = self_communicator();
  const auto device = Device::cpu(1);
  const Mesh mesh(MeshShape::data_expert(1, 1), world);
  TrainingEngine engine(engine_config(config), mesh, device);
  engine.keep_assignments(true);
  std::vector<std::vector<SparseAssignment>> routing;
  for (int64_t micro = 0; micro < engine.micro_batches(); ++micro) {
    routing.emplace_back();
    for (int layer = 0; layer < 2; ++layer) {
      routing.back().push_back(synthetic_assignment(SyntheticRouting::balanced, 2 * 128, 8, 2, 1));
    }
  }
  std::vector<StepRecord> out;
  out.reserve(kSteps);
  for (int64_t step = 0; step < kSteps; ++step) {
    std::vector<TokenBatch> batches;
    for (int64_t micro = 0; micro < engine.micro_batches(); ++micro) {
      batches.push_back(drawn_batch(engine.config().model, step, engine.config().global_batch,
                                    micro_batch_samples(engine.config(), 1, 0, micro)));
    }
    const int64_t before = device->memory().system_allocations;
    reset_allocation_counts();
    engine.step(
        step, [&](int64_t micro) { return batches[static_cast<size_t>(micro)]; }, {},
        balanced ? &routing : nullptr);
    StepRecord record;
    record.counts = allocation_counts();
    record.device_requests = device->memory().system_allocations - before;
    for (const auto& micro : engine.last_assignments()) {
      for (const SparseAssignment& layer : micro) {
        for (const int64_t rows : layer.kept_counts()) record.rows = std::max(record.rows, rows);
      }
    }
    out.push_back(record);
  }
  return out;
}

TEST(AllocationCounter, SeesMallocNewAndMaps) {
  reset_allocation_counts();
  void* volatile small = std::malloc(100);
  auto* volatile fresh = new std::vector<char>(100000);
  void* map = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const AllocationCounts counts = allocation_counts();
  std::free(small);
  delete fresh;
  munmap(map, 4096);
  EXPECT_EQ(counts.calls, 3);
  EXPECT_EQ(counts.large, 1);
  EXPECT_EQ(counts.largest, 100000);
  EXPECT_EQ(counts.maps, 1);
}

class SteadyState : public testing::TestWithParam<std::string> {};

TEST_P(SteadyState, BalancedStepsTakeNothingFromTheSystem) {
  const std::vector<StepRecord> steps = train_one_rank(GetParam(), true);
  int64_t small = 0;
  for (size_t i = kFirst; i < steps.size(); ++i) {
    SCOPED_TRACE("step " + std::to_string(i + 1));
    EXPECT_EQ(steps[i].device_requests, 0);
    EXPECT_EQ(steps[i].counts.maps, 0);
    EXPECT_EQ(steps[i].counts.large, 0) << steps[i].counts.largest << " bytes";
    // malloc may give a page back to the system, but takes none from it.
    EXPECT_LE(steps[i].counts.held_by_malloc, steps[i - 1].counts.held_by_malloc);
    small = std::max(small, steps[i].counts.calls);
  }
  std::printf("%s: at most %ld small calls of malloc in a step\n", GetParam().c_str(), small);
  RecordProperty("small_calls_per_step", std::to_string(small));
}

// Row counts change with every step.
TEST_P(SteadyState, NaturalRoutingTakesMoreOnlyAtANewLargestRowCount) {
  for (int seed = 1; seed <= 2; ++seed) {
    const std::vector<StepRecord> steps = train_one_rank(GetParam(), false, seed);
    int64_t most = 0;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (i >= kFirst && steps[i].rows <= most) {
        SCOPED_TRACE("seed " + std::to_string(seed) + ", step " + std::to_string(i + 1));
        EXPECT_EQ(steps[i].device_requests, 0);
        EXPECT_EQ(steps[i].counts.large, 0) << steps[i].counts.largest << " bytes";
        EXPECT_EQ(steps[i].counts.maps, 0);
      }
      most = std::max(most, steps[i].rows);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, SteadyState, testing::Values("f32", "bf16"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace troupe
