#include "models/blocks/attention_block.h"

#include "core/base/error.h"
#include "core/kernels/elementwise.h"
#include "core/ops/attention.h"
#include "core/ops/linear.h"
#include "core/ops/norm.h"
#include "core/ops/view.h"

namespace troupe {

AttentionBlock::AttentionBlock(const AttentionConfig& config, const std::string& name,
                               const ModuleContext& context)
    : config_(config), compute_(context.compute) {
  const int64_t query_dim = config.heads * config.head_dim;
  const int64_t kv_dim = config.kv_heads * config.head_dim;
  auto matrix = [&](const char* part, int64_t out, int64_t in, double std) {
    return replicated_parameter(context, name + "." + part + ".weight", {out, in},
                                {Init::Kind::normal, std}, true);
  };
  query_ = matrix("q", query_dim, config.dim, context.init_std);
  key_ = matrix("k", kv_dim, config.dim, context.init_std);
  value_ = matrix("v", kv_dim, config.dim, context.init_std);
  output_ = matrix("o", config.dim, query_dim, context.residual_std);
  if (config.bias) {
    auto bias = [&](const char* part, int64_t size) {
      return replicated_parameter(context, name + "." + part + ".bias", {size}, {Init::Kind::zeros},
                                  false);
    };
    query_bias_ = bias("q", query_dim);
    key_bias_ = bias("k", kv_dim);
    value_bias_ = bias("v", kv_dim);
    output_bias_ = bias("o", config.dim);
  }
  if (config.qk_norm) {
    auto norm = [&](const char* part) {
      return replicated_parameter(context, name + "." + part + ".weight", {config.head_dim},
                                  {Init::Kind::ones}, false);
    };
    query_norm_ = norm("q_norm");
    key_norm_ = norm("k_norm");
  }
}

AttentionBlock::Heads AttentionBlock::project(const Tensor& x_TD, int64_t sequences,
                                              int64_t seq_len, const RopeTable& rope_table,
                                              const Tensor& positions) const {
  auto split = [&](const Tensor& x, int64_t heads) {
    return reshape(x, {sequences, seq_len, heads, config_.head_dim});
  };
  Tensor query = split(linear(x_TD, *query_, query_bias_.get()), config_.heads);
  Tensor key = split(linear(x_TD, *key_, key_bias_.get()), config_.kv_heads);
  Tensor value = split(linear(x_TD, *value_, value_bias_.get()), config_.kv_heads);
  if (config_.qk_norm) {
    query = rms_norm(query, *query_norm_, config_.norm_eps);
    key = rms_norm(key, *key_norm_, config_.norm_eps);
  }
  return {rope(query, rope_table, positions), rope(key, rope_table, positions), value};
}

Tensor AttentionBlock::forward(const Tensor& x_TD, const TokenContext& tokens,
                               const RopeTable& rope_table, const Tensor& positions) const {
  const Heads heads = project(x_TD, tokens.sequences, tokens.seq_len, rope_table, positions);
  AttentionOptions options;
  options.window = config_.window;
  if (tokens.documents.defined())
    options.documents = reshape(tokens.documents, {tokens.sequences, tokens.seq_len});
  const Tensor mixed = attention(heads.query, heads.key, heads.value, options);
  return linear(reshape(mixed, {tokens.tokens(), config_.heads * config_.head_dim}), *output_,
                output_bias_.get());
}

KvCache AttentionBlock::make_cache(int64_t capacity, const std::shared_ptr<Device>& device) const {
  const Shape shape{1, capacity, config_.kv_heads, config_.head_dim};
  return {Tensor::zeros(shape, compute_, device), Tensor::zeros(shape, compute_, device), 0};
}

Tensor AttentionBlock::decode(const Tensor& x_TD, const RopeTable& rope_table,
                              const Tensor& positions, KvCache& cache) const {
  const int64_t count = x_TD.dim(0);
  require(cache.length + count <= cache.keys.dim(1), "{} tokens do not fit a cache of {}",
          cache.length + count, cache.keys.dim(1));
  const Heads heads = project(x_TD, 1, count, rope_table, positions);
  auto rows = [&](const Tensor& store, int64_t first, int64_t size) {
    return store.strided({1, size, config_.kv_heads, config_.head_dim}, store.strides(),
                         first * store.strides()[1]);
  };
  kernels::copy(x_TD.stream(), heads.key.view(), rows(cache.keys, cache.length, count).view());
  kernels::copy(x_TD.stream(), heads.value.view(), rows(cache.values, cache.length, count).view());
  cache.length += count;
  const Tensor mixed = attention_decode(heads.query, rows(cache.keys, 0, cache.length),
                                        rows(cache.values, 0, cache.length), config_.window);
  return linear(reshape(mixed, {count, config_.heads * config_.head_dim}), *output_,
                output_bias_.get());
}

void AttentionBlock::parameters(std::vector<Parameter*>& out) const {
  for (const auto* parameter : {&query_, &key_, &value_, &output_, &query_bias_, &key_bias_,
                                &value_bias_, &output_bias_, &query_norm_, &key_norm_}) {
    if (*parameter) out.push_back(parameter->get());
  }
}

}  // namespace troupe
