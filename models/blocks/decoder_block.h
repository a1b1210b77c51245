// One block of a decoder: pre-norm attention, then a pre-norm feed-forward that is dense or a
// mixture of experts, each added to the residual stream.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/blocks/attention_block.h"
#include "moe/layer/moe_layer.h"

namespace troupe {

struct BlockConfig {
  AttentionConfig attention;
  int64_t ffn_dim = 0;           // of a dense block
  std::optional<MoEConfig> moe;  // of a MoE block
  double dropout = 0.0;
  bool recompute = false;
  int64_t vocab = 0;
  std::vector<int64_t> token_counts;  // for hash routing: balanced
};

// What a MoE block tells about one micro-batch, besides its output.
struct RoutingRecord {
  // Values without a tape, for logs: their gradient is attached to the block's output.
  std::vector<LossTerm> losses;
  RouterStats stats;
  Assignment assignment;
};

class DecoderBlock {
 public:
  // name: "layers.3"
  DecoderBlock(const BlockConfig& config, const std::string& name, const ModuleContext& context);

  bool is_moe() const { return moe_ != nullptr; }
  // x_TD: stream rows. record: filled if the block is MoE. replay: routes as recorded instead of
  // choosing.
  Tensor forward(const Tensor& x_TD, const StreamContext& stream, const RopeTable& rope_table,
                 RoutingRecord& record, const Assignment* replay = nullptr);
  // n new tokens of one sequence.
  Tensor decode(const Tensor& x_TD, const TokenContext& tokens, const RopeTable& rope_table,
                const Tensor& positions, KvCache& cache, RoutingRecord& record);

  const AttentionBlock& attention() const { return attention_; }
  MoELayer* moe() { return moe_.get(); }
  void parameters(std::vector<Parameter*>& out);

 private:
  Tensor run(const Tensor& x_TD, const StreamContext& stream, const RopeTable& rope_table,
             RoutingRecord& record, const Assignment* replay);
  Tensor feed_forward(const Tensor& x_TD, const TokenContext& tokens, const TokenSharding* sharding,
                      RoutingRecord& record, const Assignment* replay);
  Tensor drop(const Tensor& x_TD, const StreamContext& stream, const char* place) const;

  BlockConfig config_;
  std::string name_;
  TensorRegion region_;
  std::unique_ptr<Parameter> attention_norm_;
  AttentionBlock attention_;
  std::unique_ptr<Parameter> feed_forward_norm_;
  std::unique_ptr<Parameter> gate_up_, down_;  // dense
  std::unique_ptr<MoELayer> moe_;
};

}  // namespace troupe
