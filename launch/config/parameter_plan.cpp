#include "launch/config/parameter_plan.h"

#include <fmt/core.h>

#include "moe/routers/table.h"

namespace troupe {
namespace {

class Plan {
 public:
  explicit Plan(const DecoderConfig& config) : config_(config) {}

  void vector(const std::string& name, int64_t size) {
    add(name, whole({size}), config_.compute, false);
  }
  void matrix(const std::string& name, int64_t out, int64_t in, bool in_products = true) {
    add(name, whole({out, in}), config_.compute, in_products);
  }
  void router(const std::string& name, const MoEConfig& moe) {
    add(name, whole({moe.experts, config_.dim}), moe.router_precision, true);
  }
  void bank(const std::string& name, int64_t experts, int64_t out, int64_t in) {
    add(name,
        Layout::replicated({experts, out, in}, MeshKind::experts, {Axis::edp}).shard(0, Axis::ep),
        config_.compute, true);
  }
  std::vector<PlannedParameter> take() { return std::move(list_); }

 private:
  static Layout whole(const Shape& shape) {
    return Layout::replicated(shape, MeshKind::attention, {Axis::dp, Axis::cp});
  }
  void add(const std::string& name, Layout layout, DType compute, bool in_products) {
    list_.push_back({name, std::move(layout), compute, in_products});
  }

  const DecoderConfig& config_;
  std::vector<PlannedParameter> list_;
};

void attention(const DecoderConfig& config, const std::string& name, Plan& plan) {
  const int64_t query = config.heads * config.head_dim;
  const int64_t kv = config.kv_heads * config.head_dim;
  plan.matrix(name + ".q.weight", query, config.dim);
  plan.matrix(name + ".k.weight", kv, config.dim);
  plan.matrix(name + ".v.weight", kv, config.dim);
  plan.matrix(name + ".o.weight", config.dim, query);
  if (config.attention_bias) {
    plan.vector(name + ".q.bias", query);
    plan.vector(name + ".k.bias", kv);
    plan.vector(name + ".v.bias", kv);
    plan.vector(name + ".o.bias", config.dim);
  }
  if (config.qk_norm) {
    plan.vector(name + ".q_norm.weight", config.head_dim);
    plan.vector(name + ".k_norm.weight", config.head_dim);
  }
}

void experts(const DecoderConfig& config, const MoEConfig& moe, const std::string& name,
             Plan& plan) {
  if (find_router(moe.router)->has_parameters) {
    plan.router(name + ".router.weight", moe);
    if (moe.router_options.has("noise") && moe.router_options.text("noise") == "learned") {
      plan.router(name + ".router.noise", moe);
    }
  }
  plan.bank(name + ".experts.gate_up", moe.experts, 2 * moe.ffn_dim, config.dim);
  plan.bank(name + ".experts.down", moe.experts, config.dim, moe.ffn_dim);
  if (moe.shared_experts == 0) return;
  const int64_t width = moe.shared_experts * moe.shared_ffn_dim;
  plan.matrix(name + ".shared.gate_up", 2 * width, config.dim);
  plan.matrix(name + ".shared.down", config.dim, width);
}

}  // namespace

std::vector<PlannedParameter> planned_parameters(const DecoderConfig& config) {
  Plan plan(config);
  plan.matrix("embedding.weight", config.vocab, config.dim, config.tie_embeddings);
  for (size_t layer = 0; layer < config.moe.size(); ++layer) {
    const std::string name = fmt::format("layers.{}", layer);
    plan.vector(name + ".attention_norm.weight", config.dim);
    attention(config, name + ".attention", plan);
    plan.vector(name + ".feed_forward_norm.weight", config.dim);
    if (config.moe[layer]) {
      experts(config, *config.moe[layer], name + ".moe", plan);
    } else {
      plan.matrix(name + ".feed_forward.gate_up.weight", 2 * config.ffn_dim, config.dim);
      plan.matrix(name + ".feed_forward.down.weight", config.dim, config.ffn_dim);
    }
  }
  plan.vector("norm.weight", config.dim);
  if (!config.tie_embeddings) plan.matrix("head.weight", config.vocab, config.dim);
  return plan.take();
}

int64_t local_elements(const PlannedParameter& parameter, const MeshShape& mesh) {
  return local_shape(parameter.layout, mesh, coordinates(mesh, 0)).elements();
}

}  // namespace troupe
