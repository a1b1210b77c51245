// What `check` predicts, against what a real engine counts: parameters by name, the peak of the
// accounted memory, and the bytes that ranks send.
#include "models/cost/estimate.h"
#include "launch/config/engine_config.h"
#include "launch/config/run_cost.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>

#include "launch/config/load.h"
#include "launch/training/trainer.h"
#include "models/engine/drawn_batch.h"
#include "models/families/lookup/configured_model.h"
#include "parallel/checkpoint/async_saver.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe {
namespace {

const char* const kBase = R"(
model: {layers: 3, dim: 64, heads: 4, kv_heads: 2, ffn_dim: 128, seq_len: 64, vocab: 96}
moe: {experts: 4, ffn_dim: 96, router: {type: topk, top_k: 2}}
data: {tokenizer: byte, train: none.txt}
train: {steps: 10, global_batch: 8, micro_batch: 4}
)";

RunConfig config_with(const std::vector<std::string>& overrides, int ranks) {
  return load_config_text(kBase, "estimate.yaml", overrides, ranks).config;
}

struct Measured {
  MemoryReport memory;      // of the rank with the highest peak
  int64_t comm_bytes = 0;   // of the rank that sends most, in the second step
  int64_t fixed_bytes = 0;  // of it what does not depend on routing
};

int64_t sent(const TrafficTable& table, bool routed) {
  int64_t bytes = 0;
  for (const auto& [key, traffic] : table) {
    bool rows = false;  // whose number depends on routing
    for (const char* what : {" dispatch", " combine", " gate weights"}) {
      rows = rows || key.second.find(what) != std::string::npos;
    }
    if (routed || !rows) bytes += traffic.bytes;
  }
  return bytes;
}

Measured measure(const RunConfig& config) {
  Measured most;
  std::mutex mutex;
  const test::TemporaryDirectory dir;
  const bool saving = config.checkpoint.every < config.train.steps;
  run_ranks(config.parallel.shape.world(), [&](int, std::shared_ptr<Communicator> world) {
    const auto device = Device::cpu(1);
    world->world().set_device(device);
    const Mesh mesh(config.parallel, world);
    TrainingEngine engine(engine_config(config), mesh, device);
    TrafficTable before;
    checkpoint::AsyncSaver saver(world, device);
    if (saving) saver.start(dir.path(), 1, 1, engine.state(), {});
    saver.finish();
    for (int64_t step = 0; step < 2; ++step) {
      before = mesh.traffic();
      engine.step(step, [&](int64_t micro) {
        std::vector<int64_t> samples = micro_batch_samples(engine.config(), mesh.size(Axis::dp),
                                                           mesh.coordinate(Axis::dp), micro);
        return drawn_batch(engine.config().model, step, engine.config().global_batch, samples);
      });
    }
    const TrafficTable after = mesh.traffic();
    const std::lock_guard lock(mutex);
    const MemoryReport memory = device->memory();
    if (memory.total.peak > most.memory.total.peak) most.memory = memory;
    most.comm_bytes = std::max(most.comm_bytes, sent(after, true) - sent(before, true));
    most.fixed_bytes = std::max(most.fixed_bytes, sent(after, false) - sent(before, false));
  });
  return most;
}

struct Case {
  std::string name;
  std::vector<std::string> overrides;
  int ranks = 1;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class Estimates : public ::testing::TestWithParam<Case> {};

const std::vector<Case> kCases{
    {"plain", {}, 1},
    {"bf16", {"precision.compute=bf16"}, 1},
    {"capacity", {"moe.capacity_factor=1.25"}, 1},
    {"capacity_bf16", {"moe.capacity_factor=1.25", "precision.compute=bf16"}, 1},
    {"dense", {"moe=none"}, 1},
    {"dp2", {}, 2},
    {"ep2", {"parallel.ep=2"}, 2},
    {"ep2_bf16", {"parallel.ep=2", "precision.compute=bf16"}, 2},
    {"ep4_capacity", {"parallel.ep=4", "moe.capacity_factor=1.0", "train.micro_batch=2"}, 4},
    {"recompute", {"model.recompute=full"}, 1},
    {"recompute_ep2", {"model.recompute=full", "parallel.ep=2"}, 2},
    {"large_vocabulary", {"model.vocab=50257", "train.micro_batch=2"}, 1},
    {"large_vocabulary_bf16", {"model.vocab=50257", "precision.compute=bf16"}, 1},
    {"tied", {"model.tie_embeddings=true", "model.vocab=20000"}, 1},
    {"shared", {"moe.shared_experts=1", "moe.balance=[{type: switch, coef: 0.1}]"}, 1},
    {"every_option",
     {"model.qk_norm=true", "model.attention_bias=true", "model.dropout=0.1",
      "moe.router.noise=learned", "moe.layers.every=2"},
     1},
    {"expert_choice", {"moe.router.type=expert_choice", "moe.capacity_factor=2"}, 1},
    {"hash", {"moe.router={type: hash}"}, 1},
    {"switch_jitter", {"moe.router={type: switch}"}, 1},
    {"switch_jitter_bf16", {"moe.router={type: switch}", "precision.compute=bf16"}, 1},
    {"shared_bf16", {"moe.shared_experts=1", "precision.compute=bf16"}, 1},
    {"sgd", {"optimizer.type=sgd"}, 1},
    {"gpt2", {"model.family=gpt2", "model.kv_heads=auto", "moe=none"}, 1},
    {"gpt2_experts_bf16",
     {"model.family=gpt2", "model.kv_heads=auto", "moe.layers.every=2", "precision.compute=bf16"},
     1},
    {"gpt2_ep2_zero3",
     {"model.family=gpt2", "model.kv_heads=auto", "parallel={ep: 2, zero: 3}"},
     2},
    {"saving", {"checkpoint.every=1"}, 1},
    {"saving_dp2_ep2", {"checkpoint.every=1", "parallel.ep=2"}, 2},
    {"saving_dp4_zero1", {"checkpoint.every=1", "parallel.zero=1", "train.micro_batch=2"}, 4},
    {"smile", {"moe.experts=16", "moe.router={type: smile, groups: 4, top_k: 2}"}, 1},
    {"smile_balanced",
     {"moe.experts=64", "moe.ffn_dim=16", "moe.router={type: smile, groups: 8, top_k: 2}",
      "moe.balance=[{type: switch, coef: 0.1}, {type: z, coef: 0.1}]"},
     1},
    {"dp4_zero1", {"parallel.zero=1", "train.micro_batch=2"}, 4},
    {"dp4_zero2", {"parallel.zero=2", "train.micro_batch=1"}, 4},
    {"dp2_zero2_many_buckets",
     {"parallel.zero=2", "train.micro_batch=2", "model.dim=256", "model.layers=6"},
     2},
    {"dp4_zero3", {"parallel.zero=3", "train.micro_batch=1"}, 4},
    {"dp2_zero3_bf16", {"parallel.zero=3", "precision.compute=bf16", "train.micro_batch=2"}, 2},
    {"ep2_zero3_large_vocabulary",
     {"parallel.zero=3", "parallel.ep=2", "model.vocab=50257", "train.micro_batch=1"},
     2},
};

TEST_P(Estimates, ParametersAreThoseOfTheModel) {
  const Case& c = GetParam();
  const RunConfig config = config_with(c.overrides, c.ranks);
  const MeshShape& shape = config.parallel.shape;
  const std::vector<ParameterSpec> planned = model_parameters(config.model, config.parallel);
  int64_t global = 0;
  for (const ParameterSpec& parameter : planned) global += parameter.layout.global.elements();
  EXPECT_EQ(global, model_size(config.model).parameters);
  run_ranks(c.ranks, [&](int rank, std::shared_ptr<Communicator> world) {
    const Mesh mesh(config.parallel, std::move(world));
    const auto model = make_model(config.model, mesh, Device::cpu(1), 1);
    ASSERT_EQ(planned.size(), model->parameters().size());
    for (size_t i = 0; i < planned.size(); ++i) {
      const Parameter& real = *model->parameters()[i];
      EXPECT_EQ(planned[i].name, real.name());
      EXPECT_EQ(planned[i].layout.global, real.layout().global) << real.name();
      EXPECT_EQ(planned[i].layout.gradient_partial, real.layout().gradient_partial) << real.name();
      EXPECT_EQ(planned[i].compute, real.compute()) << real.name();
      EXPECT_EQ(planned[i].decay, real.decays()) << real.name();
      EXPECT_EQ(local_elements(planned[i], shape, rank), real.value().elements()) << real.name();
    }
  });
}

void expect_memory_within_ten_percent(const RunConfig& config) {
  const MemoryEstimate estimate = estimate_memory(cost_inputs(config), 1);
  const MemoryReport memory = measure(config).memory;
  std::string table;
  for (int kind = 0; kind < kMemoryKinds; ++kind) {
    const auto which = static_cast<MemoryKind>(kind);
    table += fmt::format("{}: estimated {}, peak {}\n", name(which), estimate.of(which),
                         memory.of(which).peak);
  }
  const double ratio =
      static_cast<double>(estimate.total_bytes) / static_cast<double>(memory.total.peak);
  ::testing::Test::RecordProperty("ratio", fmt::format("{:.3f}", ratio));
  EXPECT_GT(ratio, 0.9) << table;
  EXPECT_LT(ratio, 1.1) << table;
}

TEST_P(Estimates, MemoryIsWithinTenPercentOfThePeak) {
  expect_memory_within_ten_percent(config_with(GetParam().overrides, GetParam().ranks));
}

// Of the heaviest stage, by what each schedule keeps in flight.
class StagesMemory : public ::testing::TestWithParam<Case> {};

TEST_P(StagesMemory, IsWithinTenPercentOfThePeak) {
  std::vector<std::string> overrides = GetParam().overrides;
  overrides.insert(overrides.end(), {"train.micro_batch=1", "model.layers=4"});
  expect_memory_within_ten_percent(config_with(overrides, GetParam().ranks));
}

const std::vector<Case> kStages{
    {"gpipe", {"parallel.pp=2", "parallel.schedule=gpipe"}, 2},
    {"one_stage_gpipe", {"parallel.schedule=gpipe"}, 1},
    {"one_f_one_b", {"parallel.pp=2"}, 2},
    {"one_f_one_b_of_4_bf16", {"parallel.pp=4", "precision.compute=bf16"}, 4},
    {"interleaved",
     {"parallel.pp=2", "parallel.schedule=interleaved", "parallel.virtual_stages=2"},
     2},
    {"zero_bubble", {"parallel.pp=2", "parallel.schedule=zero_bubble"}, 2},
    {"zero_bubble_of_4", {"parallel.pp=4", "parallel.schedule=zero_bubble"}, 4},
    {"large_vocabulary", {"parallel.pp=2", "model.vocab=20000"}, 2},
    {"tied", {"parallel.pp=2", "model.vocab=20000", "model.tie_embeddings=true"}, 2},
    {"recompute", {"parallel.pp=2", "model.recompute=full", "parallel.schedule=gpipe"}, 2},
};

// Exact but for the rows of natural routing, which the estimate takes as even.
TEST_P(Estimates, BytesAreThoseOfTheCounters) {
  const Case& c = GetParam();
  const RunConfig config = config_with(c.overrides, c.ranks);
  const CommunicationEstimate estimate = estimate_communication(cost_inputs(config));
  const Measured measured = measure(config);
  int64_t fixed = 0;
  for (const CommunicationPart& part : estimate.parts) {
    if (part.name != "rows to and from experts" && part.name != "gate weights") fixed += part.bytes;
  }
  EXPECT_EQ(fixed, measured.fixed_bytes);
  EXPECT_NEAR(static_cast<double>(estimate.bytes_per_step),
              static_cast<double>(measured.comm_bytes),
              0.2 * static_cast<double>(measured.comm_bytes));
}

INSTANTIATE_TEST_SUITE_P(Schedules, StagesMemory, ::testing::ValuesIn(kStages),
                         [](const auto& info) { return info.param.name; });
INSTANTIATE_TEST_SUITE_P(Cases, Estimates, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace troupe
