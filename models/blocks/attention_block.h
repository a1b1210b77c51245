// Causal self-attention with grouped queries, rotary positions, optional QK-norm and biases. Heads
// are cut over tp; where there are fewer key heads than tp ranks, each rank projects all of them
// and uses the one of its query heads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/ops/rope.h"
#include "models/blocks/parameters.h"
#include "models/blocks/stream.h"
#include "parallel/tp/region.h"

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

  // x_TD: stream rows, already normalised -> stream rows.
  Tensor forward(const Tensor& x_TD, const StreamContext& stream,
                 const RopeTable& rope_table) const;
  // Appends the keys and values of n new tokens of one sequence to the cache; x_TD: [n, D].
  Tensor decode(const Tensor& x_TD, const RopeTable& rope_table, const Tensor& positions,
                KvCache& cache) const;

  KvCache make_cache(int64_t capacity, const std::shared_ptr<Device>& device) const;
  void parameters(std::vector<Parameter*>& out) const;

 private:
  void make_parameters(const ModuleContext& context, bool cut_kv);
  struct Heads {
    Tensor query;  // [B, attention rows of a sequence, heads of this rank, head_dim]
    Tensor key;    // the same with its key heads
    Tensor value;
  };
  Heads project(const Tensor& x_TD, int64_t sequences, int64_t seq_len, const RopeTable& rope_table,
                const Tensor& positions) const;

  // Of the key heads that this rank projects, those that it uses.
  Tensor used_heads(const Tensor& projected) const;
  Tensor project_out(const Tensor& mixed) const;

  AttentionConfig config_;
  const Mesh& mesh_;
  TensorRegion region_;
  std::string name_;
  int64_t heads_;         // of this rank
  int64_t projected_kv_;  // key heads that this rank projects
  int64_t first_kv_ = 0;  // the first of those that it uses
  int64_t kv_heads_;      // how many it uses
  DType compute_;
  std::unique_ptr<Parameter> query_, key_, value_, output_;
  std::unique_ptr<Parameter> query_bias_, key_bias_, value_bias_, output_bias_;
  std::unique_ptr<Parameter> query_norm_, key_norm_;
};

}  // namespace troupe
