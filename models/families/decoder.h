// The decoder family: a Llama- or Mixtral-shaped causal language model.
#pragma once

#include <memory>
#include <vector>

#include "core/parameter/value_keeper.h"
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
  // Makes the layers of this rank's pipeline stage: one piece of the model per chunk, the embedding
  // in the first piece of all, the last norm and the head in the last. Names stay those of the
  // whole model. token_counts: [vocab] of the training corpus (only read by hash: balanced; may be
  // empty).
  Decoder(const DecoderConfig& config, const Mesh& mesh, const std::shared_ptr<Device>& device,
          uint64_t seed, const std::vector<int64_t>& token_counts = {});

  // What all pieces of the model know about a micro-batch: the whole one of this data rank.
  StreamContext stream(const TokenContext& tokens) const;
  // Chunk `chunk` of this stage. x_TD: stream rows, the value of the piece before; not read by the
  // first piece. routing: gets one record per MoE layer of the chunk. replay: one Assignment per
  // MoE layer of this rank, taken instead of routing.
  Tensor forward_chunk(int chunk, const Tensor& x_TD, const StreamContext& stream,
                       std::vector<RoutingRecord>* routing = nullptr,
                       const std::vector<Assignment>* replay = nullptr);
  // Of the value of the last piece: norm, head, and the loss of `forward`.
  Tensor loss(const Tensor& x_TD, const StreamContext& stream, const Tensor& targets);

  // On one stage only. tokens: the whole micro-batch of this data rank. targets: i32 [B * S],
  // negative where nothing is predicted. The loss is divided by tokens.predictions(), so the shares
  // of all ranks and micro-batches only sum. Backward of `loss` also runs the balance terms.
  // replay: one Assignment per MoE layer, taken instead of routing.
  DecoderOutput forward(const TokenContext& tokens, const Tensor& targets,
                        const std::vector<Assignment>* replay = nullptr);
  // NLL of each token in the wide type, [B * S]; 0 where the target is negative. No gradient.
  // Collective over the pipeline: every stage gets it.
  Tensor nll(const TokenContext& tokens, const Tensor& targets);

  // Generation of one sequence, on one stage only: feeds n new ids and returns the logits [vocab]
  // after the last one (wide type). routing: gets one record per MoE layer.
  struct Cache {
    std::vector<KvCache> layers;
    int64_t length = 0;
  };
  Cache make_cache(int64_t capacity) const;
  Tensor decode(const std::vector<int32_t>& ids, Cache& cache,
                std::vector<RoutingRecord>* routing = nullptr);

  // Tells whoever keeps values that are spread over ranks which units
  // (models/families/value_units.h) are used when; null: all values are here. The keeper must
  // outlive the uses. Forward, backward and the loss are for a caller who has announced the uses of
  // all of them; nll and decode announce their own.
  void keep_values(ValueKeeper* keeper) { keeper_ = keeper; }

  const DecoderConfig& config() const { return config_; }
  // Of this rank, in a fixed order: the order of gradient buckets.
  const std::vector<Parameter*>& parameters() const { return parameters_; }
  // MoE layers of this rank, and which layers of the model they are.
  const std::vector<MoELayer*>& moe_layers() const { return moe_layers_; }
  const std::vector<int64_t>& moe_layer_numbers() const { return moe_layer_numbers_; }

 private:
  struct Chunk {
    int place = 0;     // in the model
    size_t first = 0;  // of blocks_
    size_t end = 0;
    size_t first_moe = 0;  // of moe_layers_
  };
  void make_chunk(int chunk, const ModuleContext& context,
                  const std::vector<int64_t>& token_counts);
  void make_embedding(const ModuleContext& context);
  bool is_last(const Chunk& chunk) const { return chunk.place + 1 == places_; }
  Tensor embed(const StreamContext& stream);
  // Forward of all chunks.
  void announce_forward() const;
  // run(x) with the values of a block here, in forward and in backward.
  template <typename Run>
  Tensor with_block(size_t block, const Tensor& x_TD, Run&& run);
  // Attention rows after the last norm.
  Tensor normed(const Tensor& x_TD);
  // The value of the last piece, on the last stage only: goes through the whole pipeline.
  Tensor through_pipeline(const StreamContext& stream);
  Parameter& head() { return head_ ? *head_ : *embedding_; }

  DecoderConfig config_;
  const Mesh& mesh_;
  TensorRegion region_;
  std::shared_ptr<Device> device_;
  RopeTable rope_table_;
  int places_;  // pieces of the whole model
  std::vector<Chunk> chunks_;
  std::unique_ptr<Parameter> embedding_;  // also where it is the head of a tied model
  std::vector<std::unique_ptr<DecoderBlock>> blocks_;
  std::unique_ptr<Parameter> norm_;  // like the head only on the last stage
  std::unique_ptr<Parameter> head_;  // null when tied to the embedding
  std::vector<Parameter*> parameters_;
  ValueKeeper* keeper_ = nullptr;
  std::vector<MoELayer*> moe_layers_;
  std::vector<int64_t> moe_layer_numbers_;
  std::vector<int> layer_numbers_;  // of blocks_
};

}  // namespace troupe
