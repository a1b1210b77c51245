// Causal self-attention with grouped queries, rotary positions, optional QK-norm and biases.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/nn/token_context.h"
#include "core/ops/rope.h"
#include "models/blocks/parameters.h"

namespace troupe {

struct AttentionConfig {
  int64_t dim = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t window = 0;
  bool qk_norm = false;
  bool bias = false;
  double norm_eps = 1e-5;
};

// Keys and values of the tokens seen so far by one layer, for generation of one sequence.
struct KvCache {
  Tensor keys;    // [1, capacity, kv_heads, head_dim]
  Tensor values;  // the same
  int64_t length = 0;
};

class AttentionBlock {
 public:
  // name: "layers.3.attention"
  AttentionBlock(const AttentionConfig& config, const std::string& name,
                 const ModuleContext& context);

  // x_TD: [B * S, D], already normalised. positions: i32 [B * S].
  Tensor forward(const Tensor& x_TD, const TokenContext& tokens, const RopeTable& rope_table,
                 const Tensor& positions) const;
  // Appends the keys and values of n new tokens of one sequence to the cache; x_TD: [n, D].
  Tensor decode(const Tensor& x_TD, const RopeTable& rope_table, const Tensor& positions,
                KvCache& cache) const;

  KvCache make_cache(int64_t capacity, const std::shared_ptr<Device>& device) const;
  void parameters(std::vector<Parameter*>& out) const;

 private:
  struct Heads {
    Tensor query;  // [B, S, heads, head_dim]
    Tensor key;    // [B, S, kv_heads, head_dim]
    Tensor value;
  };
  Heads project(const Tensor& x_TD, int64_t sequences, int64_t seq_len, const RopeTable& rope_table,
                const Tensor& positions) const;

  AttentionConfig config_;
  DType compute_;
  std::unique_ptr<Parameter> query_, key_, value_, output_;
  std::unique_ptr<Parameter> query_bias_, key_bias_, value_bias_, output_bias_;
  std::unique_ptr<Parameter> query_norm_, key_norm_;
};

}  // namespace troupe
