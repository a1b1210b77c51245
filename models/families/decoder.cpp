#include "models/families/decoder.h"

#include <cmath>
#include <numeric>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/ops/dropout.h"
#include "core/ops/embedding.h"
#include "core/ops/linear.h"
#include "core/ops/linear_cross_entropy.h"
#include "core/ops/norm.h"
#include "core/ops/view.h"
#include "parallel/tp/vocabulary.h"

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

// first, first + 1, ...
Tensor rising(int64_t count, int64_t first, const std::shared_ptr<Device>& device) {
  std::vector<int32_t> positions(static_cast<size_t>(count));
  std::iota(positions.begin(), positions.end(), static_cast<int32_t>(first));
  return Tensor::from(positions, {count}, device);
}

// The entries [tokens] of the attention rows.
Tensor attention_part(const Tensor& values, const TokenSharding& sharding) {
  const std::vector<int32_t>& rows = sharding.attention_rows();
  if (static_cast<int64_t>(rows.size()) == values.dim(0)) return values;
  const Tensor out =
      Tensor::empty({static_cast<int64_t>(rows.size())}, DType::i32, values.device());
  for (size_t i = 0; i < rows.size(); ++i) out.data<int32_t>()[i] = values.data<int32_t>()[rows[i]];
  return out;
}

StreamContext stream_context(const TokenContext& tokens, const Mesh& mesh,
                             const std::shared_ptr<Device>& device) {
  StreamContext stream;
  stream.tokens = tokens;
  stream.sharding = std::make_shared<const TokenSharding>(mesh.parallelism(), mesh.coordinates(),
                                                          tokens.sequences, tokens.seq_len);
  const auto rows = static_cast<int64_t>(stream.sharding->attention_rows().size());
  stream.positions = Tensor::empty({rows}, DType::i32, device);
  for (int64_t i = 0; i < rows; ++i)
    stream.positions.data<int32_t>()[i] = static_cast<int32_t>(stream.sharding->position(i));
  return stream;
}

}  // namespace

Decoder::Decoder(const DecoderConfig& config, const Mesh& mesh,
                 const std::shared_ptr<Device>& device, uint64_t seed,
                 const std::vector<int64_t>& token_counts)
    : config_(config), mesh_(mesh), region_(mesh), device_(device) {
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
  embedding_ = cut_parameter(context, "embedding.weight", {config.vocab, config.dim}, 0, normal,
                             true, Cut::uneven);
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
  norm_ = replicated_parameter(context, "norm.weight", {config.dim}, {Init::Kind::ones}, false,
                               TpGradient::stream);
  parameters_.push_back(norm_.get());
  if (!config.tie_embeddings) {
    head_ = cut_parameter(context, "head.weight", {config.vocab, config.dim}, 0, normal, true,
                          Cut::uneven);
    parameters_.push_back(head_.get());
  }
  rope_table_ =
      make_rope_table(config.seq_len, config.head_dim, config.rope_theta, config.compute, device);
}

Tensor Decoder::hidden(const StreamContext& stream, std::vector<RoutingRecord>* routing,
                       const std::vector<Assignment>* replay) {
  const TokenContext& tokens = stream.tokens;
  Tensor x_TD = region_.leave(
      embedding(*embedding_, attention_part(tokens.token_ids, *stream.sharding)), "embedding");
  if (tokens.training && config_.dropout > 0) {
    x_TD = dropout(x_TD, config_.dropout, Random(tokens.seed, "dropout", "embedding"),
                   stream_draws(stream, device_));
  }
  size_t moe = 0;
  for (auto& block : blocks_) {
    RoutingRecord record;
    const Assignment* replayed = block->is_moe() && replay != nullptr ? &replay->at(moe) : nullptr;
    x_TD = block->forward(x_TD, stream, rope_table_, record, replayed);
    if (block->is_moe()) {
      ++moe;
      if (routing != nullptr) routing->push_back(std::move(record));
    }
  }
  return region_.enter(rms_norm(x_TD, *norm_, config_.norm_eps), "head");
}

DecoderOutput Decoder::forward(const TokenContext& tokens, const Tensor& targets,
                               const std::vector<Assignment>* replay) {
  DecoderOutput out;
  const StreamContext stream = stream_context(tokens, mesh_, device_);
  const Tensor x_TD = hidden(stream, &out.routing, replay);
  require(tokens.global_tokens > 0, "a batch without tokens");
  out.loss = linear_cross_entropy(x_TD, head(), attention_part(targets, *stream.sharding),
                                  1.0 / static_cast<double>(tokens.global_tokens), {},
                                  join_vocabulary(region_));
  return out;
}

Tensor Decoder::nll(const TokenContext& tokens, const Tensor& targets) {
  NoGrad no_grad;
  const StreamContext stream = stream_context(tokens, mesh_, device_);
  const Tensor nll = token_nll(hidden(stream, nullptr, nullptr), head(),
                               attention_part(targets, *stream.sharding), join_vocabulary(region_));
  if (mesh_.size(Axis::cp) == 1) return nll;
  // Every cp rank holds as many tokens; their losses back into the order of the micro-batch.
  Communicator& cp = mesh_.group(Axis::cp);
  const Tensor out = Tensor::zeros({tokens.tokens()}, nll.dtype(), device_);
  const std::vector<int32_t>& rows = stream.sharding->attention_rows();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (nll.dtype() == DType::f64) {
      out.data<double>()[rows[i]] = nll.data<double>()[i];
    } else {
      out.data<float>()[rows[i]] = nll.data<float>()[i];
    }
  }
  cp.all_reduce_sum(out.view(), "token losses").wait();
  return out;
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
  const Tensor positions = rising(count, cache.length, device_);
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
