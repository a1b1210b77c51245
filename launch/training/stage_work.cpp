#include "launch/training/stage_work.h"

#include <algorithm>

#include "core/base/error.h"
#include "launch/training/training_engine.h"

namespace troupe {

StageWork::StageWork(const Setting& setting, int64_t step, const Batches& batch,
                     const Replay* replay)
    : setting_(setting), step_(step), batch_(batch), replay_(replay) {
  for (const MoELayer* layer : setting_.model.moe_layers()) {
    stats_.push_back(RouterStats::zeros(layer->config().experts));
  }
  const auto micro_batches = static_cast<size_t>(setting_.pipeline.micro_batches);
  terms_.resize(micro_batches);
  if (setting_.keep_assignments) assignments_.resize(micro_batches);
}

bool StageWork::planted(PlantedBug bug) const { return setting_.mesh.parallelism().planted == bug; }

StageWork::MicroBatch StageWork::load(int64_t micro) {
  const EngineConfig& config = setting_.config;
  PhaseScope phase(&setting_.clock, Phase::data);
  const TokenBatch batch = batch_(micro);
  BatchTensors tensors = to_tensors(batch, config.model.mask_documents, setting_.device);
  TokenContext& tokens = tensors.context;
  tokens.global_sequences = config.global_batch;
  tokens.global_tokens = config.global_batch * config.model.seq_len;
  tokens.global_predictions = batch.step_predictions;
  tokens.micro_batch = config.micro_batch;
  if (planted(PlantedBug::balance_scale_of_micro_batches)) {
    tokens.global_sequences = config.micro_batch * setting_.mesh.size(Axis::dp);
  }
  tokens.step = step_;
  tokens.seed = config.seed;
  if (planted(PlantedBug::random_numbers_of_each_rank)) {
    tokens.seed += static_cast<uint64_t>(setting_.mesh.world().rank());
  }
  tokens.training = true;
  tokens.clock = &setting_.clock;
  return {setting_.model.stream(tokens), tensors.targets};
}

Tensor StageWork::forward(int chunk, int64_t micro, const Tensor& x_TD) {
  const Pipeline& pipeline = setting_.pipeline;
  if (chunk == 0) {
    if (one_by_one(pipeline)) setting_.sync.begin_micro_batch(micro + 1 == pipeline.micro_batches);
    loaded_.emplace(micro, load(micro));
  }
  const MicroBatch& at = loaded_.at(micro);
  auto& terms = terms_[static_cast<size_t>(micro)];
  const std::vector<Assignment>* replay =
      replay_ != nullptr ? &replay_->at(static_cast<size_t>(micro)) : nullptr;
  std::vector<RoutingRecord> routing;
  Tensor value = setting_.model.forward_chunk(chunk, x_TD, at.stream, &routing, replay);
  const int place = pipeline.place(setting_.mesh.coordinate(Axis::pp), chunk);
  if (place + 1 == pipeline.places()) {
    value = setting_.model.loss(value, at.stream, at.targets);
    loss_ += value.item();
  }
  for (RoutingRecord& record : routing) {
    RouterStats& stats = stats_.at(terms.size());
    stats.add(record.stats);
    if (planted(PlantedBug::statistic_twice_by_recompute) && setting_.config.model.recompute) {
      stats.add(record.stats);
    }
    terms.push_back(std::move(record.losses));
    if (!setting_.keep_assignments) continue;
    assignments_[static_cast<size_t>(micro)].push_back(std::move(record.assignment));
  }
  if (chunk + 1 == pipeline.chunks) loaded_.erase(micro);
  return value;
}

void StageWork::forwards_done(bool backward_begun) {
  // From here on a parameter without open uses has its whole gradient.
  if (!one_by_one(setting_.pipeline)) setting_.sync.begin_micro_batch(true);
  // Balance terms of scope global_batch_exact wait for the whole batch.
  const std::vector<MoELayer*>& layers = setting_.model.moe_layers();
  if (std::none_of(layers.begin(), layers.end(),
                   [](const MoELayer* layer) { return layer->needs_batch_before_backward(); }))
    return;
  require(!backward_begun, "scope global_batch_exact where a backward precedes a forward");
  std::vector<RouterStats> batch = stats_;
  PhaseScope phase(&setting_.clock, Phase::comm);
  add_over_ranks(batch, setting_.mesh.group(Axis::dp));
  for (size_t i = 0; i < layers.size(); ++i) layers[i]->before_backward(batch[i]);
}

}  // namespace troupe
