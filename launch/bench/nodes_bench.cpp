#include "launch/bench/nodes_bench.h"
#include "launch/config/engine_config.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/base/random.h"
#include "launch/bench/median.h"
#include "launch/training/trainer.h"
#include "models/engine/held_out_loss.h"
#include "models/engine/sampled_batches.h"
#include "moe/dispatch/placement.h"
#include "moe/layer/moe_layer.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;

struct Kind {
  const char* name;
  EpKind exchange;
  bool smile;
};
constexpr Kind kFlat{"flat", EpKind::flat, false};
constexpr Kind kHierarchical{"hierarchical", EpKind::hierarchical, false};
// Its token goes to one node, so the hop sends it there once whatever the number of experts.
constexpr Kind kSmile{"smile", EpKind::hierarchical, true};

std::vector<double> summed(const std::vector<double>& values, Communicator& world,
                           const std::shared_ptr<Device>& device) {
  const Tensor sum = Tensor::from(std::span<const double>(values),
                                  {static_cast<int64_t>(values.size())}, DType::f64, device);
  world.all_reduce_sum(sum.view(), "sums of the benchmark").finish();
  return sum.values();
}

Parallelism spread_over_all(const RunConfig& config, EpKind exchange, int world) {
  Parallelism out(MeshShape::data_expert(world, world));
  out.ep_kind = exchange;
  out.ranks_per_node = config.parallel.ranks_per_node;
  return out;
}

void set_router(MoEConfig& moe, const Kind& kind, int64_t top_k, int nodes) {
  moe.router = kind.smile ? "smile" : "topk";
  moe.router_options = Options(router_named(moe.router).fields);
  moe.router_options.set("top_k", top_k);
  if (kind.smile) moe.router_options.set("groups", int64_t{nodes});
}

// Measures what a rank does: time between barriers, and what it sends to other nodes.
class Meter {
 public:
  Meter(const Mesh& mesh, const char* what) : mesh_(mesh) {
    mesh.all().barrier(what).finish();
    before_ = mesh.world().sent();
    begin_ = Clock::now();
  }
  // Adds to the row what this rank has sent since; returns milliseconds until all ranks were here.
  double stop(NodesRow& row) const {
    const std::vector<Sent>& sent = mesh_.world().sent();
    for (int rank = 0; rank < mesh_.all().size(); ++rank) {
      if (mesh_.node(rank) == mesh_.node(mesh_.all().rank())) continue;
      const auto r = static_cast<size_t>(rank);
      row.bytes += static_cast<double>(sent[r].bytes - before_[r].bytes);
      row.messages += static_cast<double>(sent[r].messages - before_[r].messages);
    }
    mesh_.all().barrier("end of a measurement").finish();
    return std::chrono::duration<double, std::milli>(Clock::now() - begin_).count();
  }

 private:
  const Mesh& mesh_;
  std::vector<Sent> before_;
  Clock::time_point begin_;
};

// One way of sending, with the rows and times of its repetitions.
struct Case {
  Kind kind;
  NodesRow row;
  std::vector<double> times;
};

// Other tokens on every rank.
Tensor layer_tokens(int rank, const std::shared_ptr<Device>& device) {
  constexpr int64_t kElements = NodesLayer::kTokens * NodesLayer::kDim;
  const Random random(1, "bench moe_nodes", "tokens");
  std::vector<double> values(static_cast<size_t>(kElements));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = random.normal(static_cast<uint64_t>(rank * kElements) + i);
  return Tensor::from(std::span<const double>(values), {NodesLayer::kTokens, NodesLayer::kDim},
                      DType::f32, device);
}

class LayerCase : public Case {
 public:
  LayerCase(const RunConfig& config, const Kind& kind, int64_t top_k, int nodes,
            const Tensor& tokens, const std::shared_ptr<Communicator>& world,
            const std::shared_ptr<Device>& device)
      : Case{kind, {kind.name, top_k}, {}},
        mesh_(spread_over_all(config, kind.exchange, world->size()), world),
        layer_(setup(kind, top_k, nodes), mesh_, device),
        x_(tokens),
        context_(token_context({world->rank()}, NodesLayer::kTokens, {},
                               {.sequences = world->size(),
                                .tokens = world->size() * NodesLayer::kTokens,
                                .micro_batch = 1})) {
    context_.training = true;
  }

  // Forward and backward.
  void pass(bool counted) {
    NodesRow counts;
    const Meter meter(mesh_, "layer");
    const Tensor x = leaf(x_, [](const Tensor&) {});
    const MoEOutput out = layer_.forward(x, context_);
    const Tensor seed = Tensor::full(out.y_TD.shape(), DType::f32, 1.0, x.device());
    backward(std::span(&out.y_TD, 1), std::span(&seed, 1));
    const double ms = meter.stop(counts);
    if (!counted) return;
    times.push_back(ms);
    row.bytes = counts.bytes;  // the same in every pass
    row.messages = counts.messages;
    if (!experts_elsewhere.empty()) return;
    count_rows(out.assignment);
  }

  // Rows of this rank's tokens for experts and for ranks of other nodes.
  std::vector<double> experts_elsewhere;

 private:
  static MoELayerInputs setup(const Kind& kind, int64_t top_k, int nodes) {
    MoELayerInputs out;
    out.config.experts = NodesLayer::kExperts;
    out.config.ffn_dim = NodesLayer::kFfnDim;
    set_router(out.config, kind, top_k, nodes);
    out.dim = NodesLayer::kDim;
    out.name = "layer";
    out.seed = 1;
    return out;
  }
  void count_rows(const SparseAssignment& assignment) {
    const Placement placement = Placement::identity(NodesLayer::kExperts, mesh_.all().size());
    const std::vector<int32_t> token = assignment.pair_tokens();
    std::set<std::pair<int32_t, int32_t>> ranks;
    double experts = 0;
    for (size_t i = 0; i < token.size(); ++i) {
      const int32_t home = placement.home[static_cast<size_t>(assignment.expert[i])].rank;
      if (mesh_.node(home) == mesh_.node(mesh_.all().rank())) continue;
      ++experts;
      ranks.emplace(token[i], home);
    }
    experts_elsewhere = {experts, static_cast<double>(ranks.size())};
  }

  Mesh mesh_;
  MoELayer layer_;
  Tensor x_;
  TokenContext context_;
};

class ModelCase : public Case {
 public:
  ModelCase(RunConfig config, const Kind& kind, int64_t top_k, int nodes,
            const std::shared_ptr<Communicator>& world, const std::shared_ptr<Device>& device)
      : Case{kind, {kind.name, top_k}, {}},
        mesh_(spread_over_all(config, kind.exchange, world->size()), world),
        device_(device) {
    for (auto& moe : config.model.moe)
      if (moe) set_router(*moe, kind, top_k, nodes);
    config.train.micro_batch = config.train.global_batch / world->size();
    engine_ = std::make_unique<TrainingEngine>(engine_config(config), mesh_, device);
  }

  void step(int64_t number, TrainingData& data) {
    const Meter meter(mesh_, "training step");
    engine_->step(number, sampled_batches(*engine_, *data.sampler, number));
    times.push_back(meter.stop(row));
  }

  void evaluate(const TrainingData& data) {
    row.loss = held_out_loss(engine_->model(), *data.held_out, engine_->config().micro_batch, mesh_,
                             device_)
                   .nats_per_token;
  }

 private:
  Mesh mesh_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<TrainingEngine> engine_;
};

// Sums over the ranks, medians over the repetitions; `base` is the case that speeds are told of.
NodesRow finished(const Case& one, const Case& base, double repetitions, Communicator& world,
                  const std::shared_ptr<Device>& device) {
  NodesRow row = one.row;
  const std::vector<double> sums = summed({row.bytes, row.messages}, world, device);
  row.bytes = sums[0] / repetitions;
  row.messages = sums[1] / repetitions;
  row.ms = median(one.times);
  std::vector<double> ratios;
  for (size_t i = 0; i < one.times.size(); ++i) ratios.push_back(base.times[i] / one.times[i]);
  row.speed = median(ratios);
  return row;
}

int count_nodes(const RunConfig& config, const std::shared_ptr<Communicator>& world) {
  const Mesh mesh(spread_over_all(config, EpKind::flat, world->size()), world);
  std::set<int> nodes;
  for (int rank = 0; rank < world->size(); ++rank) nodes.insert(mesh.node(rank));
  return static_cast<int>(nodes.size());
}

// Experts per token of the configured model.
int64_t check_model(const RunConfig& config, int ranks, int nodes) {
  int64_t top_k = 0;
  for (const auto& moe : config.model.moe) {
    if (!moe) continue;
    if (moe->router != "topk") {
      fail(ExitCode::usage,
           "bench moe_nodes compares ways to send the tokens of router topk with those of smile; "
           "the configuration has moe.router.type {}",
           moe->router);
    }
    top_k = moe->router_options.integer("top_k");
    if (moe->experts % ranks != 0 || moe->experts / nodes < top_k) {
      fail(
          ExitCode::usage,
          "bench moe_nodes: {} experts on {} ranks and {} nodes: the ranks must divide them, and a "
          "node must hold the {} experts of a token",
          moe->experts, ranks, nodes, top_k);
    }
  }
  if (top_k == 0) fail(ExitCode::usage, "bench moe_nodes: the model has no layer with experts");
  if (config.train.global_batch % ranks != 0) {
    fail(ExitCode::usage, "bench moe_nodes: train.global_batch {} does not divide over {} ranks",
         config.train.global_batch, ranks);
  }
  if (nodes < 2 || NodesLayer::kExperts % ranks != 0 || NodesLayer::kExperts / nodes < 4) {
    fail(ExitCode::usage,
         "bench moe_nodes: {} ranks on {} nodes: the layer's {} experts need 2 nodes or more, at "
         "most {}, and a number of ranks that divides them",
         ranks, nodes, NodesLayer::kExperts, NodesLayer::kExperts / 4);
  }
  return top_k;
}

void bench_layer(const RunConfig& config, const std::shared_ptr<Communicator>& world,
                 const std::shared_ptr<Device>& device, int64_t repeats, NodesBench& out) {
  struct Planned {
    Kind kind;
    int64_t top_k;
    size_t base;  // the flat one
  };
  // Top-1 at the end: Switch and SMILE as they were published.
  constexpr Planned kPlan[] = {{kFlat, 8, 0},         {kHierarchical, 8, 0}, {kFlat, 4, 2},
                               {kHierarchical, 4, 2}, {kSmile, 4, 2},        {kFlat, 1, 5},
                               {kSmile, 1, 5}};
  const Tensor tokens = layer_tokens(world->rank(), device);
  std::vector<std::unique_ptr<LayerCase>> cases;
  for (const Planned& plan : kPlan) {
    cases.push_back(std::make_unique<LayerCase>(config, plan.kind, plan.top_k, out.nodes, tokens,
                                                world, device));
  }
  // Turn by turn, so that what else the machine does meets all of them.
  for (int64_t pass = 0; pass <= repeats; ++pass) {
    for (const auto& one : cases) one->pass(pass > 0);
  }
  for (size_t i = 0; i < cases.size(); ++i)
    out.layer.push_back(finished(*cases[i], *cases[kPlan[i].base], 1.0, *world, device));
  const std::vector<double> rows = summed(cases[1]->experts_elsewhere, *world, device);
  // There and back, values and gradients.
  constexpr double kRowBytes = 4.0 * NodesLayer::kDim * sizeof(float);
  out.of_expert_rows = out.layer[1].bytes / (rows[0] * kRowBytes);
  out.of_rank_rows = out.layer[1].bytes / (rows[1] * kRowBytes);
}

void bench_model(const RunConfig& config, TrainingData& data, int64_t top_k,
                 const std::shared_ptr<Communicator>& world, const std::shared_ptr<Device>& device,
                 NodesBench& out) {
  std::vector<std::unique_ptr<ModelCase>> cases;
  for (const Kind& kind : {kFlat, kHierarchical, kSmile})
    cases.push_back(std::make_unique<ModelCase>(config, kind, top_k, out.nodes, world, device));
  for (int64_t step = 0; step < config.train.steps; ++step) {
    for (const auto& one : cases) one->step(step, data);
  }
  for (const auto& one : cases) {
    one->evaluate(data);
    out.model.push_back(
        finished(*one, *cases[0], static_cast<double>(config.train.steps), *world, device));
  }
}

}  // namespace

NodesBench bench_nodes(const RunConfig& config, TrainingData& data,
                       const std::shared_ptr<Communicator>& world,
                       const std::shared_ptr<Device>& device, int64_t repeats) {
  NodesBench out;
  out.ranks = world->size();
  out.nodes = count_nodes(config, world);
  const int64_t top_k = check_model(config, out.ranks, out.nodes);
  bench_layer(config, world, device, repeats, out);
  bench_model(config, data, top_k, world, device, out);
  return out;
}

}  // namespace troupe
