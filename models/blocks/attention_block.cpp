#include "models/blocks/attention_block.h"

#include "core/base/error.h"
#include "core/kernels/elementwise.h"
#include "core/ops/arithmetic.h"
#include "core/ops/attention.h"
#include "core/ops/linear.h"
#include "core/ops/norm.h"
#include "core/ops/view.h"
#include "parallel/cp/context_attention.h"

namespace troupe {

AttentionBlock::AttentionBlock(const AttentionConfig& config, const std::string& name,
                               const ModuleContext& context)
    : config_(config),
      mesh_(*context.mesh),
      region_(*context.mesh),
      name_(name),
      heads_(config.heads / region_.size()),
      projected_kv_(config.kv_heads),
      kv_heads_(config.kv_heads),
      compute_(context.compute) {
  const int64_t tp = region_.size();
  require(config.heads % tp == 0, "{} heads over tp {}", config.heads, tp);
  const bool cut_kv = config.kv_heads % tp == 0;
  if (cut_kv) {
    projected_kv_ = kv_heads_ = config.kv_heads / tp;
  } else {
    require(tp % config.kv_heads == 0, "{} key heads over tp {}", config.kv_heads, tp);
    kv_heads_ = 1;
    first_kv_ = region_.rank() * config.kv_heads / tp;
  }
  make_parameters(context, cut_kv);
}

void AttentionBlock::make_parameters(const ModuleContext& context, bool cut_kv) {
  const int64_t query_dim = config_.heads * config_.head_dim;
  const int64_t kv_dim = config_.kv_heads * config_.head_dim;
  const Init normal{Init::Kind::normal, context.init_std};
  // Rows of a projection belong to heads.
  auto rows = [&](const std::string& part, const Shape& shape, Init init, bool decay, bool cut) {
    const std::string full = name_ + "." + part;
    return cut ? cut_parameter(context, full, shape, 0, init, decay)
               : replicated_parameter(context, full, shape, init, decay, TpGradient::partial);
  };
  query_ = rows("q.weight", {query_dim, config_.dim}, normal, true, true);
  key_ = rows("k.weight", {kv_dim, config_.dim}, normal, true, cut_kv);
  value_ = rows("v.weight", {kv_dim, config_.dim}, normal, true, cut_kv);
  output_ = cut_parameter(context, name_ + ".o.weight", {config_.dim, query_dim}, 1,
                          {Init::Kind::normal, context.residual_std}, true);
  if (config_.bias) {
    const Init zeros{Init::Kind::zeros};
    query_bias_ = rows("q.bias", {query_dim}, zeros, false, true);
    key_bias_ = rows("k.bias", {kv_dim}, zeros, false, cut_kv);
    value_bias_ = rows("v.bias", {kv_dim}, zeros, false, cut_kv);
    output_bias_ = replicated_parameter(context, name_ + ".o.bias", {config_.dim}, zeros, false,
                                        TpGradient::stream);
  }
  if (config_.qk_norm) {
    auto norm = [&](const char* part) {
      return replicated_parameter(context, name_ + "." + part + ".weight", {config_.head_dim},
                                  {Init::Kind::ones}, false, TpGradient::partial);
    };
    query_norm_ = norm("q_norm");
    key_norm_ = norm("k_norm");
  }
}

Tensor AttentionBlock::used_heads(const Tensor& projected) const {
  return projected_kv_ == kv_heads_ ? projected : narrow(projected, 2, first_kv_, kv_heads_);
}

AttentionBlock::Heads AttentionBlock::project(const Tensor& x_TD, int64_t sequences,
                                              int64_t seq_len, const RopeTable& rope_table,
                                              const Tensor& positions) const {
  auto split = [&](const Tensor& x, int64_t heads) {
    return reshape(x, {sequences, seq_len, heads, config_.head_dim});
  };
  Tensor query = split(linear(x_TD, *query_, query_bias_.get()), heads_);
  Tensor key = used_heads(split(linear(x_TD, *key_, key_bias_.get()), projected_kv_));
  Tensor value = used_heads(split(linear(x_TD, *value_, value_bias_.get()), projected_kv_));
  if (config_.qk_norm) {
    query = rms_norm(query, *query_norm_, config_.norm_eps);
    key = rms_norm(key, *key_norm_, config_.norm_eps);
  }
  return {rope(query, rope_table, positions), rope(key, rope_table, positions), value};
}

Tensor AttentionBlock::project_out(const Tensor& mixed) const {
  const Tensor rows = reshape(mixed, {mixed.dim(0) * mixed.dim(1), heads_ * config_.head_dim});
  if (region_.size() == 1) return linear(rows, *output_, output_bias_.get());
  const Tensor out = region_.leave(linear(rows, *output_), name_ + " out");
  return output_bias_ ? add(out, output_bias_->as_tensor()) : out;
}

Tensor AttentionBlock::forward(const Tensor& x_TD, const StreamContext& stream,
                               const RopeTable& rope_table) const {
  const TokenContext& tokens = stream.tokens;
  const Tensor rows = region_.enter(x_TD, name_ + " in");
  const int64_t length = tokens.sequences > 0 ? rows.dim(0) / tokens.sequences : 0;
  const Heads heads = project(rows, tokens.sequences, length, rope_table, stream.positions);
  AttentionOptions options;
  options.window = config_.window;
  if (tokens.documents.defined())
    options.documents = reshape(tokens.documents, {tokens.sequences, tokens.seq_len});
  return project_out(context_attention(heads.query, heads.key, heads.value, options,
                                       *stream.sharding, mesh_, name_));
}

KvCache AttentionBlock::make_cache(int64_t capacity, const std::shared_ptr<Device>& device) const {
  const Shape shape{1, capacity, kv_heads_, config_.head_dim};
  return {Tensor::zeros(shape, compute_, device), Tensor::zeros(shape, compute_, device), 0};
}

Tensor AttentionBlock::decode(const Tensor& x_TD, const RopeTable& rope_table,
                              const Tensor& positions, KvCache& cache) const {
  const int64_t count = x_TD.dim(0);
  require(cache.length + count <= cache.keys.dim(1), "{} tokens do not fit a cache of {}",
          cache.length + count, cache.keys.dim(1));
  const Heads heads = project(x_TD, 1, count, rope_table, positions);
  auto rows = [&](const Tensor& store, int64_t first, int64_t size) {
    return store.strided({1, size, kv_heads_, config_.head_dim}, store.strides(),
                         first * store.strides()[1]);
  };
  kernels::copy(x_TD.stream(), heads.key.view(), rows(cache.keys, cache.length, count).view());
  kernels::copy(x_TD.stream(), heads.value.view(), rows(cache.values, cache.length, count).view());
  cache.length += count;
  const Tensor mixed = attention_decode(heads.query, rows(cache.keys, 0, cache.length),
                                        rows(cache.values, 0, cache.length), config_.window);
  return project_out(mixed);
}

void AttentionBlock::parameters(std::vector<Parameter*>& out) const {
  for (const auto* parameter : {&query_, &key_, &value_, &output_, &query_bias_, &key_bias_,
                                &value_bias_, &output_bias_, &query_norm_, &key_norm_}) {
    if (*parameter) out.push_back(parameter->get());
  }
}

}  // namespace troupe
