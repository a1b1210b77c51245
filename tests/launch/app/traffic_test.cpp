// The bytes that `layout` and `check` predict for every rank, against what its communicators count:
// equal on layouts of all kinds, inside a node and between nodes, where routing is even.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <mutex>
#include <numeric>
#include <optional>

#include "core/base/error.h"
#include "core/base/random.h"
#include "launch/app/layout_view.h"
#include "launch/config/engine_config.h"
#include "launch/config/load.h"
#include "launch/config/run_cost.h"
#include "launch/training/trainer.h"
#include "models/cost/estimate.h"
#include "models/engine/drawn_batch.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe {
namespace {

const char* const kModel = R"(
model: {layers: 3, dim: 16, heads: 4, kv_heads: 2, ffn_dim: 24, seq_len: 48, vocab: 64}
moe: {experts: 4, ffn_dim: 8, router: {type: topk, top_k: 2}}
data: {tokenizer: byte, train: none.txt}
train: {steps: 10, global_batch: 8, micro_batch: 2}
)";

// Each token's pair of the 4 experts, all six pairs one after the other: any six neighbouring
// tokens take every expert three times, and every set of experts as often as its chance says.
SparseAssignment even_routing(int64_t tokens) {
  constexpr std::array<std::array<int32_t, 2>, 6> kPairs = {
      {{0, 1}, {2, 3}, {0, 2}, {1, 3}, {0, 3}, {1, 2}}};
  SparseAssignment out = empty_assignment(4);
  for (int64_t t = 0; t < tokens; ++t) out.append(kPairs[static_cast<size_t>(t % 6)]);
  return out;
}

struct Case {
  std::string name;
  int ranks;
  std::vector<std::string> overrides;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const std::vector<Case> kCases{
    {"dp2", 2, {}},
    {"tp2", 2, {"parallel.tp=2"}},
    {"tp2_without_sp", 2, {"parallel.tp=2", "parallel.sp=false", "model.vocab=97"}},
    {"tp4_few_key_heads", 4, {"parallel.tp=4", "model.qk_norm=true", "parallel.ranks_per_node=2"}},
    {"tp2_recompute", 2, {"parallel.tp=2", "model.recompute=full", "moe.layers.every=2"}},
    {"tp2_shared", 2, {"parallel.tp=2", "moe.shared_experts=1"}},
    {"tp2_ep4", 4, {"parallel.tp=2", "parallel.ep=4", "parallel.ranks_per_node=2"}},
    {"etp2_bf16", 2, {"parallel.etp=2", "precision.compute=bf16"}},
    {"ep2_etp2_overlap",
     4,
     {"parallel.ep=2", "parallel.etp=2", "moe.overlap=2", "parallel.ranks_per_node=2"}},
    {"pp2", 2, {"parallel.pp=2"}},
    {"pp2_tied_zero1",
     4,
     {"parallel.pp=2", "model.tie_embeddings=true", "parallel.zero=1",
      "parallel.ranks_per_node=2"}},
    {"pp2_interleaved",
     4,
     {"parallel.pp=2", "parallel.schedule=interleaved", "parallel.virtual_stages=2",
      "model.layers=5", "parallel.tp=2", "parallel.ranks_per_node=2"}},
    {"pp4_zero_bubble",
     4,
     {"parallel.pp=4", "parallel.schedule=zero_bubble", "model.layers=4",
      "parallel.ranks_per_node=2"}},
    {"zero1", 2, {"parallel.zero=1"}},
    {"zero2", 4, {"parallel.zero=2", "train.micro_batch=1", "parallel.ranks_per_node=2"}},
    {"zero2_pp2", 4, {"parallel.zero=2", "parallel.pp=2", "train.micro_batch=1"}},
    {"zero3", 4, {"parallel.zero=3", "train.micro_batch=1", "parallel.ranks_per_node=2"}},
    {"zero3_recompute_tied",
     4,
     {"parallel.zero=3", "parallel.ep=2", "train.micro_batch=1", "model.recompute=full",
      "model.tie_embeddings=true"}},
    {"zero3_tp2_pp2_tied",
     8,
     {"parallel.zero=3", "parallel.pp=2", "parallel.tp=2", "train.micro_batch=1",
      "model.tie_embeddings=true"}},
    {"zero3_zero_bubble",
     4,
     {"parallel.zero=3", "parallel.pp=2", "parallel.schedule=zero_bubble", "train.micro_batch=1"}},
    {"cp2_ring", 2, {"parallel.cp=2", "parallel.ranks_per_node=1"}},
    {"cp4_ring", 4, {"parallel.cp=4", "parallel.ranks_per_node=2", "precision.compute=bf16"}},
    {"cp2_all_to_all", 2, {"parallel.cp=2", "parallel.cp_kind=all_to_all", "model.recompute=full"}},
    {"cp2_tp2_zero2",
     8,
     {"parallel.cp=2", "parallel.tp=2", "parallel.ep=4", "parallel.zero=2",
      "parallel.ranks_per_node=4"}},
    {"cp2_all_to_all_tp2_without_sp",
     4,
     {"parallel.cp=2", "parallel.tp=2", "parallel.cp_kind=all_to_all", "parallel.sp=false",
      "parallel.ranks_per_node=2"}},
    {"ep4_flat", 4, {"parallel.ep=4", "parallel.ranks_per_node=2"}},
    {"hierarchical",
     4,
     {"parallel.ep=4", "parallel.ep_kind=hierarchical", "parallel.ranks_per_node=2"}},
    {"hierarchical_recompute_bf16",
     4,
     {"parallel.ep=4", "parallel.ep_kind=hierarchical", "parallel.ranks_per_node=2",
      "model.recompute=full", "precision.compute=bf16", "moe.overlap=2"}},
    {"hierarchical_uneven_nodes",
     4,
     {"parallel.ep=4", "parallel.ep_kind=hierarchical", "parallel.ranks_per_node=3"}},
    {"hierarchical_etp2_tp2_pp2",
     8,
     {"parallel.pp=2", "parallel.tp=2", "parallel.ep=2", "parallel.etp=2",
      "parallel.ep_kind=hierarchical", "parallel.ranks_per_node=2"}},
    {"hierarchical_where_parts_lie_apart",
     4,
     {"parallel.ep=2", "parallel.etp=2", "parallel.ep_kind=hierarchical",
      "parallel.ranks_per_node=3"}},
    {"gpt2_tp2_without_sp",
     2,
     {"model.family=gpt2", "model.kv_heads=auto", "parallel.tp=2", "parallel.sp=false",
      "moe.layers.every=2"}},
    {"gpt2_cp2_tp2",
     4,
     {"model.family=gpt2", "model.kv_heads=auto", "parallel.cp=2", "parallel.tp=2",
      "parallel.ranks_per_node=2"}},
    {"gpt2_zero3_tp2_pp2",
     8,
     {"model.family=gpt2", "model.kv_heads=auto", "parallel.zero=3", "parallel.pp=2",
      "parallel.tp=2", "train.micro_batch=1"}},
    {"exact_batch",
     2,
     {"parallel.schedule=gpipe",
      "moe.balance=[{type: switch, coef: 0.1, scope: global_batch_exact}]"}},
};

struct Bytes {
  int64_t inside = 0;
  int64_t between = 0;
  int64_t of_groups = 0;  // as the groups' tables have them
};

Bytes sent(const Mesh& mesh) {
  Bytes out;
  const int me = mesh.all().rank();
  const std::vector<Sent>& to = mesh.world().sent();
  for (int rank = 0; rank < mesh.shape().world(); ++rank) {
    (mesh.node(rank) == mesh.node(me) ? out.inside : out.between) +=
        to[static_cast<size_t>(rank)].bytes;
  }
  for (const auto& [key, traffic] : mesh.traffic()) out.of_groups += traffic.bytes;
  return out;
}

void expect_counted(const RunConfig& config, int ranks) {
  std::mutex mutex;
  int64_t all = 0;
  int64_t between = 0;
  run_ranks(ranks, [&](int rank, std::shared_ptr<Communicator> world) {
    const auto device = Device::cpu(1);
    world->world().set_device(device);
    const Mesh mesh(config.parallel, world);
    TrainingEngine engine(engine_config(config), mesh, device);
    const int64_t tokens = config.train.micro_batch * config.model.seq_len;
    const std::vector<std::vector<SparseAssignment>> routing(
        static_cast<size_t>(engine.micro_batches()),
        std::vector<SparseAssignment>(engine.model().moe_layers().size(), even_routing(tokens)));
    const Bytes before = sent(mesh);
    engine.step(
        0,
        [&](int64_t micro) {
          return drawn_batch(engine.config().model, 0, engine.config().global_batch,
                             micro_batch_samples(engine.config(), mesh.size(Axis::dp),
                                                 mesh.coordinate(Axis::dp), micro));
        },
        {}, &routing);
    const Bytes after = sent(mesh);
    const CommunicationEstimate estimate = communication_of_rank(cost_inputs(config), rank);
    EXPECT_EQ(estimate.bytes_per_step - estimate.between_nodes, after.inside - before.inside)
        << "inside the node of rank " << rank;
    EXPECT_EQ(estimate.between_nodes, after.between - before.between)
        << "from rank " << rank << " to other nodes";
    EXPECT_EQ(estimate.bytes_per_step, after.of_groups - before.of_groups);
    const std::lock_guard lock(mutex);
    all += after.of_groups - before.of_groups;
    between += after.between - before.between;
  });
  for (const LinkTraffic& link : link_traffic(config)) {
    all -= link.total;
    between -= link.between_nodes;
  }
  EXPECT_EQ(all, 0);
  EXPECT_EQ(between, 0);
}

class Traffic : public ::testing::TestWithParam<Case> {};

TEST_P(Traffic, IsWhatCommunicatorsCount) {
  const Case& c = GetParam();
  expect_counted(load_config_text(kModel, "traffic.yaml", c.overrides, c.ranks).config, c.ranks);
}

// Drawn layouts of drawn models; what cannot be is left out.
TEST(DrawnTraffic, IsWhatCommunicatorsCount) {
  const Random random(3, "traffic");
  uint64_t drawn = 0;
  const auto any = [&](const std::vector<std::string>& values) {
    return values[random.below(drawn++, values.size())];
  };
  int counted = 0;
  for (int round = 0; round < 150; ++round) {
    const int ranks = std::stoi(any({"2", "4", "6", "8"}));
    std::vector<std::string> overrides{
        "model.layers=" + any({"2", "3", "5"}),
        "model.vocab=" + any({"31", "64", "97"}),
        "model.dim=" + any({"16", "20"}),
        "model.kv_heads=" + any({"1", "2", "4"}),
        "model.tie_embeddings=" + any({"true", "false"}),
        "model.qk_norm=" + any({"true", "false"}),
        "model.attention_bias=" + any({"true", "false"}),
        "model.recompute=" + any({"none", "full"}),
        "moe.layers.every=" + any({"1", "2"}),
        "moe.shared_experts=" + any({"0", "1", "2"}),
        "moe.overlap=" + any({"1", "2", "9"}),
        "precision.compute=" + any({"f64", "f32", "bf16"}),
        "train.micro_batch=" + any({"1", "2"}),
        "train.global_batch=" + any({"8", "12", "16"}),
        "parallel.tp=" + any({"1", "1", "2", "4"}),
        "parallel.cp=" + any({"1", "1", "2", "4"}),
        "parallel.cp_kind=" + any({"ring", "all_to_all"}),
        "parallel.pp=" + any({"1", "1", "2", "3"}),
        "parallel.ep=" + any({"1", "2", "4"}),
        "parallel.etp=" + any({"1", "1", "2"}),
        "parallel.ep_kind=" + any({"flat", "hierarchical"}),
        "parallel.zero=" + any({"0", "1", "2", "3"}),
        "parallel.schedule=" + any({"gpipe", "1f1b", "interleaved", "zero_bubble"}),
        "parallel.ranks_per_node=" + any({"1", "2", "4"}),
        "parallel.sp=" + any({"auto", "false"})};
    std::optional<RunConfig> config;
    try {
      config = load_config_text(kModel, "traffic.yaml", overrides, ranks).config;
    } catch (const Error&) {
      continue;
    }
    SCOPED_TRACE(fmt::format("{} ranks, {}", ranks, fmt::join(overrides, " ")));
    expect_counted(*config, ranks);
    ++counted;
  }
  EXPECT_GT(counted, 15);
}

INSTANTIATE_TEST_SUITE_P(Layouts, Traffic, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace troupe
