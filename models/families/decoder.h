// The decoder family: a Llama- or Mixtral-shaped causal language model.
#pragma once

#include <memory>
#include <vector>

#include "models/blocks/decoder_block.h"
#include "models/families/decoder_config.h"

namespace troupe {

struct DecoderOutput {
  // The share of the mean NLL per token of this rank's attention rows; one element, the same on all
  // tp ranks.
  Tensor loss;
  std::vector<RoutingRecord> routing;  // one per MoE layer, in layer order
};

class Decoder {
 public:
  // token_counts: [vocab] of the training corpus (only read by hash: balanced; may be empty).
  Decoder(const DecoderConfig& config, const Mesh& mesh, const std::shared_ptr<Device>& device,
          uint64_t seed, const std::vector<int64_t>& token_counts = {});

  // tokens: the whole micro-batch of this data rank. targets: i32 [B * S], negative where nothing
  // is predicted. The loss is divided by tokens.global_tokens, so the shares of all ranks and
  // micro-batches only sum. Backward of `loss` also runs the balance terms. replay: one Assignment
  // per MoE layer, taken instead of routing.
  DecoderOutput forward(const TokenContext& tokens, const Tensor& targets,
                        const std::vector<Assignment>* replay = nullptr);
  // NLL of each token in the wide type, [B * S]; 0 where the target is negative. No gradient.
  Tensor nll(const TokenContext& tokens, const Tensor& targets);

  // Generation of one sequence: feeds n new ids and returns the logits [vocab] after the last one
  // (wide type). routing: gets one record per MoE layer.
  struct Cache {
    std::vector<KvCache> layers;
    int64_t length = 0;
  };
  Cache make_cache(int64_t capacity) const;
  Tensor decode(const std::vector<int32_t>& ids, Cache& cache,
                std::vector<RoutingRecord>* routing = nullptr);

  const DecoderConfig& config() const { return config_; }
  // In a fixed order: the order of gradient buckets.
  const std::vector<Parameter*>& parameters() const { return parameters_; }
  const std::vector<MoELayer*>& moe_layers() const { return moe_layers_; }
  const std::vector<int64_t>& moe_layer_numbers() const { return moe_layer_numbers_; }

 private:
  // Attention rows after the last norm.
  Tensor hidden(const StreamContext& stream, std::vector<RoutingRecord>* routing,
                const std::vector<Assignment>* replay);
  Parameter& head() { return head_ ? *head_ : *embedding_; }

  DecoderConfig config_;
  const Mesh& mesh_;
  TensorRegion region_;
  std::shared_ptr<Device> device_;
  RopeTable rope_table_;
  std::unique_ptr<Parameter> embedding_;
  std::vector<std::unique_ptr<DecoderBlock>> blocks_;
  std::unique_ptr<Parameter> norm_;
  std::unique_ptr<Parameter> head_;  // null when tied to the embedding
  std::vector<Parameter*> parameters_;
  std::vector<MoELayer*> moe_layers_;
  std::vector<int64_t> moe_layer_numbers_;
};

}  // namespace troupe
