// A model as everything above it knows it: training, evaluation, generation, verification and
// checkpoints see no family and no part.
#pragma once

#include <memory>
#include <vector>

#include "core/parameter/parameter_gatherer.h"
#include "models/model/model_config.h"
#include "models/parts/block.h"
#include "parallel/pp/pipeline_schedule.h"

namespace troupe {

struct ModelOutput {
  // The share of the mean NLL per token of this rank's attention rows; one element, the same on all
  // tp ranks.
  Tensor loss;
  std::vector<RoutingRecord> routing;  // one per MoE layer, in layer order
};

// What a model remembers of one sequence, for generation.
struct ModelCache {
  std::vector<std::unique_ptr<MixerCache>> layers;
  int64_t length = 0;
};

class Model {
 public:
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // --- training: this pipeline stage holds one piece of the model per chunk ---

  // What all pieces of the model know about a micro-batch: the whole one of this data rank.
  virtual MicroBatchContext stream(const TokenContext& tokens) const = 0;
  // Chunk `chunk` of this stage. x_TD: stream rows, the value of the piece before; not read by the
  // first piece. routing: gets one record per MoE layer of the chunk. replay: one SparseAssignment
  // per MoE layer of this rank, taken instead of routing.
  virtual Tensor forward_chunk(int chunk, const Tensor& x_TD, const MicroBatchContext& stream,
                               std::vector<RoutingRecord>* routing = nullptr,
                               const std::vector<SparseAssignment>* replay = nullptr) = 0;
  // Of the value of the last piece: norm, head, and the loss of `forward`.
  virtual Tensor loss(const Tensor& x_TD, const MicroBatchContext& stream,
                      const Tensor& targets) = 0;
  // On one stage only. tokens: the whole micro-batch of this data rank. targets: i32 [B * S],
  // negative where nothing is predicted. The loss is divided by tokens.predictions(), so the shares
  // of all ranks and micro-batches only sum. Backward of `loss` also runs the balance terms.
  // replay: one SparseAssignment per MoE layer, taken instead of routing.
  ModelOutput forward(const TokenContext& tokens, const Tensor& targets,
                      const std::vector<SparseAssignment>* replay = nullptr);

  // --- evaluation and generation ---

  // NLL of each token in the wide type, [B * S]; 0 where the target is negative. No gradient.
  // Collective over the pipeline: every stage gets it.
  virtual Tensor nll(const TokenContext& tokens, const Tensor& targets) = 0;
  // Generation of one sequence, on one stage only: feeds n new ids and returns the logits [vocab]
  // after the last one (wide type). routing: gets one record per MoE layer.
  virtual ModelCache make_cache(int64_t capacity) const = 0;
  virtual Tensor decode(const std::vector<int32_t>& ids, ModelCache& cache,
                        std::vector<RoutingRecord>* routing = nullptr) = 0;

  // --- what it is made of ---

  virtual const ModelConfig& config() const = 0;
  // Of this rank, in a fixed order: the order of gradient buckets.
  virtual const std::vector<Parameter*>& parameters() const = 0;
  // MoE layers of this rank, and which layers of the model they are.
  virtual const std::vector<MoELayer*>& moe_layers() const = 0;
  virtual const std::vector<int64_t>& moe_layer_numbers() const = 0;

  // --- values that are spread over ranks ---

  // The unit (models/model/value_units.h) of each of parameters(), and the uses of units in one
  // step of training on this stage.
  virtual std::vector<std::string> units() const = 0;
  virtual std::vector<ValueUse> step_uses(const Pipeline& pipeline) const = 0;
  // Tells whoever keeps values that are spread over ranks which units are used when; null: all
  // values are here. The gatherer must outlive the uses. Forward, backward and the loss are for a
  // caller who has announced the uses of all of them; nll and decode announce their own.
  virtual void keep_values(ParameterGatherer* gatherer) = 0;

 protected:
  Model() = default;
};

}  // namespace troupe
