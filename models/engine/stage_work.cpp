#include "models/engine/stage_work.h"

#include <algorithm>

#include "core/base/error.h"
#include "models/engine/training_engine.h"

namespace troupe {

StageWork::StageWork(const Inputs& inputs, int64_t step, const Batches& batch, const Replay* replay)
    : inputs_(inputs), step_(step), batch_(batch), replay_(replay) {
  for (const MoELayer* layer : inputs_.model.moe_layers()) {
    stats_.push_back(no_stats(layer->config()));
  }
  const auto micro_batches = static_cast<size_t>(inputs_.pipeline.micro_batches);
  terms_.resize(micro_batches);
  if (inputs_.keep_assignments) assignments_.resize(micro_batches);
}

bool StageWork::planted(PlantedBug bug) const { return inputs_.mesh.parallelism().planted == bug; }

StageWork::MicroBatch StageWork::load(int64_t micro) {
  const EngineConfig& config = inputs_.config;
  PhaseScope phase(&inputs_.clock, Phase::data);
  const TokenBatch batch = batch_(micro);
  WholeBatch whole{config.global_batch, config.global_batch * config.model.seq_len,
                   batch.step_predictions, config.micro_batch};
  if (planted(PlantedBug::balance_scale_of_micro_batches)) {
    whole.sequences = config.micro_batch * inputs_.mesh.size(Axis::dp);
  }
  BatchTensors tensors = to_tensors(batch, config.model.mask_documents, inputs_.device, whole);
  TokenContext& tokens = tensors.context;
  tokens.step = step_;
  tokens.seed = config.seed;
  if (planted(PlantedBug::random_numbers_of_each_rank)) {
    tokens.seed += static_cast<uint64_t>(inputs_.mesh.all().rank());
  }
  tokens.training = true;
  tokens.clock = &inputs_.clock;
  return {inputs_.model.stream(tokens), tensors.targets};
}

double StageWork::loss() const {
  double sum = 0;
  for (const Tensor& loss : losses_) sum += loss.item();
  return sum;
}

Tensor StageWork::forward(int chunk, int64_t micro, const Tensor& x_TD) {
  const Pipeline& pipeline = inputs_.pipeline;
  if (chunk == 0) {
    if (is_sequential(pipeline))
      inputs_.sync.begin_micro_batch(micro + 1 == pipeline.micro_batches);
    loaded_.emplace(micro, load(micro));
  }
  const MicroBatch& at = loaded_.at(micro);
  auto& terms = terms_[static_cast<size_t>(micro)];
  const std::vector<SparseAssignment>* replay =
      replay_ != nullptr ? &replay_->at(static_cast<size_t>(micro)) : nullptr;
  std::vector<RoutingRecord> routing;
  Tensor value = inputs_.model.forward_chunk(chunk, x_TD, at.stream, &routing, replay);
  if (pipeline.is_last(pipeline.virtual_stage(inputs_.mesh.coordinate(Axis::pp), chunk))) {
    value = inputs_.model.loss(value, at.stream, at.targets);
    losses_.push_back(value.detach());
  }
  for (RoutingRecord& record : routing) {
    RouterStats& stats = stats_.at(terms.size());
    stats.add(record.stats);
    if (planted(PlantedBug::statistic_twice_by_recompute) && inputs_.config.model.recompute) {
      stats.add(record.stats);
    }
    terms.push_back(std::move(record.losses));
    if (!inputs_.keep_assignments) continue;
    assignments_[static_cast<size_t>(micro)].push_back(std::move(record.assignment));
  }
  if (chunk + 1 == pipeline.chunks) loaded_.erase(micro);
  return value;
}

void StageWork::forwards_done(bool backward_begun) {
  // From here on a parameter without open uses has its whole gradient.
  if (!is_sequential(inputs_.pipeline)) inputs_.sync.begin_micro_batch(true);
  // Balance terms of scope global_batch_exact wait for the whole batch.
  const std::vector<MoELayer*>& layers = inputs_.model.moe_layers();
  if (std::none_of(layers.begin(), layers.end(),
                   [](const MoELayer* layer) { return layer->needs_batch_before_backward(); }))
    return;
  require(!backward_begun, "scope global_batch_exact where a backward precedes a forward");
  std::vector<RouterStats> batch = stats_;
  PhaseScope phase(&inputs_.clock, Phase::comm);
  add_over_ranks(batch, inputs_.mesh.group(Axis::dp));
  for (size_t i = 0; i < layers.size(); ++i) layers[i]->before_backward(batch[i]);
}

}  // namespace troupe
