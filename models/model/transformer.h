// A causal language model of blocks in a row: embedding, blocks, norm, head.
#pragma once

#include <memory>
#include <vector>

#include "models/model/model.h"
#include "models/model/transformer_parts.h"
#include "models/model/value_units.h"
#include "parallel/tp/region.h"

namespace troupe {

class Transformer final : public Model {
 public:
  // Makes the layers of this rank's pipeline stage: one piece of the model per chunk, the embedding
  // in the first piece of all, the last norm and the head in the last. Names stay those of the
  // whole model. Throws Error(usage) where there are fewer layers than pieces.
  Transformer(const ModelConfig& config, const TransformerParts& parts, const Mesh& mesh,
              const std::shared_ptr<Device>& device, uint64_t seed);

  MicroBatchContext stream(const TokenContext& tokens) const override;
  Tensor forward_chunk(int chunk, const Tensor& x_TD, const MicroBatchContext& stream,
                       std::vector<RoutingRecord>* routing,
                       const std::vector<SparseAssignment>* replay) override;
  Tensor loss(const Tensor& x_TD, const MicroBatchContext& stream, const Tensor& targets) override;
  Tensor nll(const TokenContext& tokens, const Tensor& targets) override;
  ModelCache make_cache(int64_t capacity) const override;
  Tensor decode(const std::vector<int32_t>& ids, ModelCache& cache,
                std::vector<RoutingRecord>* routing) override;

  const ModelConfig& config() const override { return config_; }
  const std::vector<Parameter*>& parameters() const override { return parameters_; }
  const std::vector<MoELayer*>& moe_layers() const override { return moe_layers_; }
  const std::vector<int64_t>& moe_layer_numbers() const override { return moe_layer_numbers_; }
  std::vector<std::string> units() const override;
  std::vector<ValueUse> step_uses(const Pipeline& pipeline) const override;
  void keep_values(ParameterGatherer* gatherer) override { gatherer_ = gatherer; }

 private:
  struct Chunk {
    int virtual_stage = 0;
    size_t first = 0;  // of blocks_
    size_t end = 0;
    size_t first_moe = 0;  // of moe_layers_
  };
  void make_embedding(const ModuleContext& context);
  void make_chunk(int chunk, const TransformerParts& parts, const ModuleContext& context);
  bool is_last(const Chunk& chunk) const {
    return is_last_piece(chunk.virtual_stage, virtual_stages_);
  }
  Tensor embed(const MicroBatchContext& stream);
  // Forward of all chunks.
  void announce_forward() const;
  // run(x) with the values of a block here, in forward and in backward.
  template <typename Run>
  Tensor with_block(size_t block, const Tensor& x_TD, Run&& run);
  // run() with the values of a unit here that only forward reads.
  template <typename Run>
  Tensor with_unit(const char* unit, Run&& run);
  // Attention rows after the last norm.
  Tensor normed(const Tensor& x_TD);
  // The value of the last piece, on the last stage only: goes through the whole pipeline.
  Tensor through_pipeline(const MicroBatchContext& stream);
  const char* head_unit() const { return config_.tie_embeddings ? "embedding" : "head"; }

  ModelConfig config_;
  const Mesh& mesh_;
  TensorRegion region_;
  std::shared_ptr<Device> device_;
  int virtual_stages_;  // pieces of the whole model
  UnitPlan unit_plan_;
  std::vector<Chunk> chunks_;
  std::unique_ptr<ParameterSet> table_;           // of the embedding; also where it is a tied head
  std::unique_ptr<PositionEmbedding> positions_;  // only on the first stage; may be null
  std::vector<std::unique_ptr<Block>> blocks_;
  std::unique_ptr<Norm> norm_;                // like the head only on the last stage
  std::unique_ptr<ParameterSet> head_table_;  // null when tied to the embedding
  Parameter* embedding_ = nullptr;
  Parameter* head_ = nullptr;
  std::vector<Parameter*> parameters_;
  ParameterGatherer* gatherer_ = nullptr;
  std::vector<MoELayer*> moe_layers_;
  std::vector<int64_t> moe_layer_numbers_;
  std::vector<int> layer_numbers_;  // of blocks_
};

}  // namespace troupe
