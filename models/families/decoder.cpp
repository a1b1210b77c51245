#include "models/families/decoder.h"

#include <cmath>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/ops/dropout.h"
#include "core/ops/embedding.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/ops/norm.h"
#include "core/ops/view.h"

namespace troupe {
namespace {

BlockConfig block_config(const DecoderConfig& config, size_t layer,
                         const std::vector<int64_t>& token_counts) {
  BlockConfig block;
  block.attention = {config.dim,    config.heads,   config.kv_heads,       config.head_dim,
                     config.window, config.qk_norm, config.attention_bias, config.norm_eps};
  block.ffn_dim = config.ffn_dim;
  block.moe = config.moe.at(layer);
  block.dropout = config.dropout;
  block.recompute = config.recompute;
  block.vocab = config.vocab;
  block.token_counts = token_counts;
  return block;
}

// 0 .. S - 1 for each sequence.
Tensor positions_of(int64_t sequences, int64_t seq_len, int64_t first,
                    const std::shared_ptr<Device>& device) {
  std::vector<int32_t> positions(static_cast<size_t>(sequences * seq_len));
  for (size_t t = 0; t < positions.size(); ++t) {
    positions[t] = static_cast<int32_t>(first + static_cast<int64_t>(t) % seq_len);
  }
  return Tensor::from(positions, {sequences * seq_len}, device);
}

}  // namespace

Decoder::Decoder(const DecoderConfig& config, const Mesh& mesh,
                 const std::shared_ptr<Device>& device, uint64_t seed,
                 const std::vector<int64_t>& token_counts)
    : config_(config), device_(device) {
  require(static_cast<int64_t>(config.moe.size()) == config.layers,
          "{} layer entries for {} layers", config.moe.size(), config.layers);
  ModuleContext context;
  context.mesh = &mesh;
  context.device = device;
  context.compute = config.compute;
  context.seed = seed;
  context.init_std = config.init_std;
  // Each block writes twice into the residual stream; its variance should not grow with depth
  // (GPT-2).
  context.residual_std = config.init_std / std::sqrt(2.0 * static_cast<double>(config.layers));
  const Init normal{Init::Kind::normal, config.init_std};
  embedding_ =
      replicated_parameter(context, "embedding.weight", {config.vocab, config.dim}, normal, true);
  parameters_.push_back(embedding_.get());
  for (size_t layer = 0; layer < config.moe.size(); ++layer) {
    blocks_.push_back(std::make_unique<DecoderBlock>(block_config(config, layer, token_counts),
                                                     "layers." + std::to_string(layer), context));
    blocks_.back()->parameters(parameters_);
    if (blocks_.back()->is_moe()) {
      moe_layers_.push_back(blocks_.back()->moe());
      moe_layer_numbers_.push_back(static_cast<int64_t>(layer));
    }
  }
  norm_ = replicated_parameter(context, "norm.weight", {config.dim}, {Init::Kind::ones}, false);
  parameters_.push_back(norm_.get());
  if (!config.tie_embeddings) {
    head_ = replicated_parameter(context, "head.weight", {config.vocab, config.dim}, normal, true);
    parameters_.push_back(head_.get());
  }
  rope_table_ =
      make_rope_table(config.seq_len, config.head_dim, config.rope_theta, config.compute, device);
}

Tensor Decoder::hidden(const TokenContext& tokens, std::vector<RoutingRecord>* routing,
                       const std::vector<Assignment>* replay) {
  const Tensor positions = positions_of(tokens.sequences, tokens.seq_len, 0, device_);
  Tensor x_TD = embedding(*embedding_, tokens.token_ids);
  if (tokens.training && config_.dropout > 0) {
    x_TD = dropout(x_TD, config_.dropout, Random(tokens.seed, "dropout", "embedding"),
                   draw_rows(tokens, device_));
  }
  size_t moe = 0;
  for (auto& block : blocks_) {
    RoutingRecord record;
    const Assignment* replayed = block->is_moe() && replay != nullptr ? &replay->at(moe) : nullptr;
    x_TD = block->forward(x_TD, tokens, rope_table_, positions, record, replayed);
    if (block->is_moe()) {
      ++moe;
      if (routing != nullptr) routing->push_back(std::move(record));
    }
  }
  return rms_norm(x_TD, *norm_, config_.norm_eps);
}

DecoderOutput Decoder::forward(const TokenContext& tokens, const Tensor& targets,
                               const std::vector<Assignment>* replay) {
  DecoderOutput out;
  const Tensor x_TD = hidden(tokens, &out.routing, replay);
  require(tokens.global_tokens > 0, "a batch without tokens");
  out.loss =
      linear_cross_entropy(x_TD, head(), targets, 1.0 / static_cast<double>(tokens.global_tokens));
  return out;
}

Tensor Decoder::nll(const TokenContext& tokens, const Tensor& targets) {
  NoGrad no_grad;
  return token_nll(hidden(tokens, nullptr, nullptr), head(), targets);
}

Decoder::Cache Decoder::make_cache(int64_t capacity) const {
  Cache cache;
  for (const auto& block : blocks_)
    cache.layers.push_back(block->attention().make_cache(capacity, device_));
  return cache;
}

Tensor Decoder::decode(const std::vector<int32_t>& ids, Cache& cache,
                       std::vector<RoutingRecord>* routing) {
  NoGrad no_grad;
  const auto count = static_cast<int64_t>(ids.size());
  TokenContext tokens;
  tokens.sequences = 1;
  tokens.seq_len = count;
  tokens.token_ids = Tensor::from(std::span<const int32_t>(ids), {count}, device_);
  tokens.samples = {0};
  tokens.global_sequences = 1;
  tokens.global_tokens = count;
  tokens.micro_batch = 1;
  tokens.dropless = true;
  const Tensor positions = positions_of(1, count, cache.length, device_);
  Tensor x_TD = embedding(*embedding_, tokens.token_ids);
  for (size_t layer = 0; layer < blocks_.size(); ++layer) {
    RoutingRecord record;
    x_TD =
        blocks_[layer]->decode(x_TD, tokens, rope_table_, positions, cache.layers[layer], record);
    if (routing != nullptr && blocks_[layer]->is_moe()) routing->push_back(std::move(record));
  }
  cache.length += count;
  const Tensor last = narrow(x_TD, 0, count - 1, 1);
  const Tensor logits = linear(rms_norm(last, *norm_, config_.norm_eps), head());
  return cast(reshape(logits, {config_.vocab}), wide(config_.compute));
}

}  // namespace troupe
