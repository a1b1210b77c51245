#include "launch/config/parameter_plan.h"

#include <fmt/core.h>

#include "moe/routers/table.h"
#include "parallel/pp/schedule.h"

namespace troupe {
namespace {

class Plan {
 public:
  Plan(const DecoderConfig& config, const Parallelism& parallelism)
      : config_(config), parallelism_(parallelism) {}

  // The same on all tp ranks. Of the residual stream each of them saw other rows with sp.
  void stream_vector(const std::string& name, int64_t size) {
    add(name, whole({size}, parallelism_.sp), config_.compute, false);
  }
  // The same on all tp ranks, each of which used it for its own heads.
  void head_vector(const std::string& name, int64_t size) {
    add(name, whole({size}, true), config_.compute, false);
  }
  void cut_vector(const std::string& name, int64_t size, bool cut) {
    add(name, cut ? whole({size}, false).shard(0, Axis::tp) : whole({size}, true), config_.compute,
        false);
  }
  // Dim `dim` cut over tp.
  void matrix(const std::string& name, int64_t out, int64_t in, int dim, bool cut = true) {
    add(name, cut ? whole({out, in}, false).shard(dim, Axis::tp) : whole({out, in}, true),
        config_.compute, true);
  }
  // A tied table stands on the first and the last stage, which add up its gradient.
  void vocabulary(const std::string& name, bool in_products) {
    Layout layout = whole({config_.vocab, config_.dim}, false).shard(0, Axis::tp, Cut::uneven);
    layout.gradient_partial[static_cast<size_t>(Axis::pp)] =
        config_.tie_embeddings && parallelism_.shape[Axis::pp] > 1;
    add(name, std::move(layout), config_.compute, in_products);
  }
  void gate_up(const std::string& name, int64_t width) {
    Layout layout = whole({2 * width, config_.dim}, false).shard(0, Axis::tp);
    layout.dims[0].sections = {width, width};
    add(name, std::move(layout), config_.compute, true);
  }
  void router(const std::string& name, const MoEConfig& moe) {
    for (const RouterMatrix& matrix :
         router_matrices(*find_router(moe.router), moe.router_options, moe.experts)) {
      add(name + "." + matrix.suffix, whole({matrix.rows, config_.dim}, true), moe.router_precision,
          true);
    }
  }
  void bank(const std::string& name, const MoEConfig& moe) {
    Layout up = expert_layout({moe.experts, 2 * moe.ffn_dim, config_.dim}).shard(1, Axis::etp);
    up.dims[1].sections = {moe.ffn_dim, moe.ffn_dim};
    add(name + ".gate_up", std::move(up), config_.compute, true);
    add(name + ".down", expert_layout({moe.experts, config_.dim, moe.ffn_dim}).shard(2, Axis::etp),
        config_.compute, true);
  }
  std::vector<PlannedParameter> take() { return std::move(list_); }

 private:
  // tp: the tp ranks' gradients are parts of a sum.
  static Layout whole(const Shape& shape, bool tp) {
    Layout layout = Layout::replicated(shape, MeshKind::attention, {Axis::dp, Axis::cp});
    layout.gradient_partial[static_cast<size_t>(Axis::tp)] = tp;
    return layout;
  }
  static Layout expert_layout(const Shape& shape) {
    return Layout::replicated(shape, MeshKind::experts, {Axis::edp}).shard(0, Axis::ep);
  }
  void add(const std::string& name, Layout layout, DType compute, bool in_products) {
    list_.push_back({name, std::move(layout), compute, in_products});
  }

  const DecoderConfig& config_;
  const Parallelism& parallelism_;
  std::vector<PlannedParameter> list_;
};

void attention(const DecoderConfig& config, int tp, const std::string& name, Plan& plan) {
  const int64_t query = config.heads * config.head_dim;
  const int64_t kv = config.kv_heads * config.head_dim;
  const bool cut = config.kv_heads % tp == 0;  // else every tp rank holds all key heads
  plan.matrix(name + ".q.weight", query, config.dim, 0);
  plan.matrix(name + ".k.weight", kv, config.dim, 0, cut);
  plan.matrix(name + ".v.weight", kv, config.dim, 0, cut);
  plan.matrix(name + ".o.weight", config.dim, query, 1);
  if (config.attention_bias) {
    plan.cut_vector(name + ".q.bias", query, true);
    plan.cut_vector(name + ".k.bias", kv, cut);
    plan.cut_vector(name + ".v.bias", kv, cut);
    plan.stream_vector(name + ".o.bias", config.dim);
  }
  if (config.qk_norm) {
    plan.head_vector(name + ".q_norm.weight", config.head_dim);
    plan.head_vector(name + ".k_norm.weight", config.head_dim);
  }
}

void experts(const DecoderConfig& config, const MoEConfig& moe, const std::string& name,
             Plan& plan) {
  plan.router(name + ".router", moe);
  plan.bank(name + ".experts", moe);
  if (moe.shared_experts == 0) return;
  const int64_t width = moe.shared_experts * moe.shared_ffn_dim;
  plan.gate_up(name + ".shared.gate_up", width);
  plan.matrix(name + ".shared.down", config.dim, width, 1);
}

void block(const DecoderConfig& config, int tp, size_t layer, Plan& plan) {
  const std::string name = fmt::format("layers.{}", layer);
  plan.stream_vector(name + ".attention_norm.weight", config.dim);
  attention(config, tp, name + ".attention", plan);
  plan.stream_vector(name + ".feed_forward_norm.weight", config.dim);
  if (config.moe[layer]) {
    experts(config, *config.moe[layer], name + ".moe", plan);
  } else {
    plan.gate_up(name + ".feed_forward.gate_up.weight", config.ffn_dim);
    plan.matrix(name + ".feed_forward.down.weight", config.dim, config.ffn_dim, 1);
  }
}

}  // namespace

std::vector<PlannedParameter> planned_parameters(const DecoderConfig& config,
                                                 const Parallelism& parallelism, int stage) {
  Plan plan(config, parallelism);
  const int stages = parallelism.shape[Axis::pp];
  const int chunks = chunks_per_stage(parallelism);
  const bool last = stage + 1 == stages;
  if (stage == 0) plan.vocabulary("embedding.weight", config.tie_embeddings);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const LayerRange layers =
        layers_of_place(config.layers, stages * chunks, chunk * stages + stage);
    for (int64_t layer = layers.begin; layer < layers.end; ++layer) {
      block(config, parallelism.shape[Axis::tp], static_cast<size_t>(layer), plan);
    }
  }
  if (last) plan.stream_vector("norm.weight", config.dim);
  if (last && !config.tie_embeddings) plan.vocabulary("head.weight", true);
  if (last && stage > 0 && config.tie_embeddings) plan.vocabulary("embedding.weight", true);
  return plan.take();
}

int64_t local_elements(const PlannedParameter& parameter, const MeshShape& mesh, int rank) {
  return local_shape(parameter.layout, mesh, coordinates(mesh, rank)).elements();
}

}  // namespace troupe
