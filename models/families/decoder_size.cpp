#include "models/families/decoder_size.h"

#include <cmath>

#include "core/base/error.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

int64_t attention_parameters(const DecoderConfig& config) {
  const int64_t query = config.heads * config.head_dim;
  const int64_t kv = config.kv_heads * config.head_dim;
  int64_t count = config.dim * (2 * query + 2 * kv);
  if (config.attention_bias) count += query + 2 * kv + config.dim;
  if (config.qk_norm) count += 2 * config.head_dim;
  return count;
}

struct MoESize {
  int64_t all = 0;
  int64_t active = 0;
  int64_t router = 0;
};

MoESize moe_size(const MoEConfig& moe, int64_t dim) {
  const RouterDescriptor* router = find_router(moe.router);
  require(router != nullptr, "no router named {}", moe.router);
  const int64_t expert = 3 * dim * moe.ffn_dim;
  const int64_t shared = moe.shared_experts * 3 * dim * moe.shared_ffn_dim;
  int64_t router_matrix = 0;
  for (const RouterMatrix& matrix : router_matrices(*router, moe.router_options, moe.experts))
    router_matrix += matrix.rows * dim;
  const int64_t choices = router->choices(moe.router_options);
  // Where experts choose, a token is read by capacity_factor experts on average.
  const double active_experts =
      choices > 0 ? static_cast<double>(choices) : moe.capacity_factor.value_or(1.0);
  MoESize size;
  size.router = router_matrix;
  size.all = moe.experts * expert + shared + router_matrix;
  size.active = std::llround(active_experts * static_cast<double>(expert)) + shared + router_matrix;
  return size;
}

}  // namespace

DecoderSize decoder_size(const DecoderConfig& config) {
  DecoderSize size;
  size.embedding = config.vocab * config.dim;
  int64_t common = size.embedding + config.dim + (config.tie_embeddings ? 0 : size.embedding);
  int64_t active = 0;
  int64_t all = 0;
  for (const auto& moe : config.moe) {
    common += attention_parameters(config) + 2 * config.dim;
    if (moe) {
      const MoESize layer = moe_size(*moe, config.dim);
      all += layer.all;
      active += layer.active;
      size.router += layer.router;
    } else {
      common += 3 * config.dim * config.ffn_dim;
    }
  }
  size.parameters = common + all;
  size.active_parameters = common + active;
  return size;
}

double training_flops(const DecoderConfig& config, int64_t sequences) {
  const DecoderSize size = decoder_size(config);
  // A tied table is still multiplied once, as the head.
  const int64_t multiplied =
      size.active_parameters - size.embedding + (config.tie_embeddings ? size.embedding : 0);
  const auto tokens = static_cast<double>(sequences * config.seq_len);
  return 6.0 * static_cast<double>(multiplied) * tokens +
         6.0 * static_cast<double>(config.layers) * tokens *
             static_cast<double>(config.seq_len * config.dim);
}

}  // namespace troupe
