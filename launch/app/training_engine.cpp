#include "launch/app/training_engine.h"

#include <cmath>

#include "core/base/error.h"

namespace troupe {

std::vector<int64_t> micro_batch_samples(const EngineConfig& config, int64_t dp_size,
                                         int64_t dp_rank, int64_t micro) {
  std::vector<int64_t> samples(static_cast<size_t>(config.micro_batch));
  const int64_t first = (micro * dp_size + dp_rank) * config.micro_batch;
  for (size_t i = 0; i < samples.size(); ++i) samples[i] = first + static_cast<int64_t>(i);
  return samples;
}

TrainingEngine::TrainingEngine(const EngineConfig& config, const Mesh& mesh,
                               const std::shared_ptr<Device>& device)
    : config_(config),
      mesh_(mesh),
      device_(device),
      model_(config.model, mesh, device, config.seed, config.token_counts),
      optimizer_(make_optimizer(config.optimizer, config.optimizer_options, model_.parameters())),
      sync_(std::make_unique<GradientSync>(model_.parameters(), mesh)) {
  require(config.global_batch % (mesh.size(Axis::dp) * config.micro_batch) == 0,
          "global batch {} is not a multiple of dp {} x micro-batch {}", config.global_batch,
          mesh.size(Axis::dp), config.micro_batch);
}

TrainingEngine::~TrainingEngine() = default;

int64_t TrainingEngine::micro_batches() const {
  return config_.global_batch / (mesh_.size(Axis::dp) * config_.micro_batch);
}

double TrainingEngine::learning_rate(int64_t step) const {
  return config_.lr *
         schedule_factor(config_.schedule, config_.schedule_options, step, config_.steps);
}

void TrainingEngine::run_micro_batch(int64_t step, int64_t micro, const TokenBatch& batch,
                                     const std::vector<Assignment>* replay, StepResult& result) {
  BatchTensors tensors = to_tensors(batch, config_.model.mask_documents, device_);
  TokenContext& tokens = tensors.context;
  tokens.global_sequences = config_.global_batch;
  tokens.global_tokens = config_.global_batch * config_.model.seq_len;
  tokens.micro_batch = config_.micro_batch;
  tokens.step = step;
  tokens.seed = config_.seed;
  tokens.training = true;
  tokens.clock = &clock_;
  DecoderOutput output;
  {
    PhaseScope phase(&clock_, Phase::forward);
    output = model_.forward(tokens, tensors.targets, replay);
  }
  {
    PhaseScope phase(&clock_, Phase::backward);
    backward(output.loss);
  }
  result.loss += output.loss.item();
  if (keep_assignments_) last_assignments_.resize(static_cast<size_t>(micro + 1));
  for (size_t layer = 0; layer < output.routing.size(); ++layer) {
    RoutingRecord& record = output.routing[layer];
    for (const LossTerm& term : record.losses) {
      (term.type == "z" ? result.z_loss : result.balance_loss) += term.value.item();
    }
    result.layers[layer].add(record.stats);
    if (keep_assignments_) last_assignments_.back().push_back(std::move(record.assignment));
  }
}

void TrainingEngine::sum_over_ranks(StepResult& result, bool stop) {
  PhaseScope phase(&clock_, Phase::comm);
  for (const RouterStats& stats : result.layers) result.own_rows.push_back(stats.rows);
  Communicator& group = mesh_.group(Axis::dp);
  add_over_ranks(result.layers, group);
  const std::vector<double> shares{result.loss, result.balance_loss, result.z_loss,
                                   stop ? 1.0 : 0.0};
  const Tensor sums =
      Tensor::from(shares, {static_cast<int64_t>(shares.size())}, DType::f64, device_);
  group.all_reduce_sum(sums.view(), "step totals").wait();
  const auto* total = sums.data<double>();
  result.loss = total[0];
  result.balance_loss = total[1];
  result.z_loss = total[2];
  result.stop_requested = total[3] > 0;
}

StepResult TrainingEngine::step(int64_t step, const std::function<TokenBatch(int64_t micro)>& batch,
                                bool stop, const std::vector<std::vector<Assignment>>* replay) {
  StepResult result;
  for (const MoELayer* layer : model_.moe_layers()) {
    result.layers.push_back(RouterStats::zeros(layer->config().experts));
  }
  last_assignments_.clear();
  sync_->begin_step();
  for (int64_t micro = 0; micro < micro_batches(); ++micro) {
    TokenBatch tokens;
    {
      PhaseScope phase(&clock_, Phase::data);
      tokens = batch(micro);
    }
    if (micro + 1 == micro_batches()) sync_->last_micro_batch();
    run_micro_batch(step, micro, tokens,
                    replay != nullptr ? &replay->at(static_cast<size_t>(micro)) : nullptr, result);
  }
  {
    PhaseScope phase(&clock_, Phase::comm);
    sync_->finish();
  }
  sum_over_ranks(result, stop);
  PhaseScope phase(&clock_, Phase::optimizer);
  result.grad_norm = sync_->gradient_norm();
  if (!std::isfinite(result.loss) || !std::isfinite(result.grad_norm)) {
    fail(ExitCode::numbers,
         "step {}: the loss is {} and the gradient norm {}; training stops before this update, and "
         "the checkpoints saved so far stay as they are. Lower optimizer.lr ({}), lengthen "
         "schedule.warmup or tighten optimizer.clip ({})",
         step + 1, result.loss, result.grad_norm, config_.lr, config_.clip);
  }
  result.lr = learning_rate(step);
  const double scale =
      config_.clip > 0 && result.grad_norm > config_.clip ? config_.clip / result.grad_norm : 1.0;
  optimizer_->step(result.lr, scale);
  for (size_t layer = 0; layer < result.layers.size(); ++layer) {
    model_.moe_layers()[layer]->after_step(result.layers[layer]);
  }
  return result;
}

State TrainingEngine::state() {
  State state;
  for (Parameter* parameter : model_.parameters()) {
    append_parts(state, "parameters/" + parameter->name(), parameter->layout(), parameter->slice(),
                 parameter->value());
  }
  optimizer_->state(state);
  for (MoELayer* layer : model_.moe_layers()) layer->state(state);
  return state;
}

void TrainingEngine::state_loaded() {
  for (Parameter* parameter : model_.parameters()) parameter->value_changed();
  optimizer_->state_loaded();
}

}  // namespace troupe
