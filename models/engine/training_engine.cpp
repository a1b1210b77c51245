#include "models/engine/training_engine.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "models/engine/stage_work.h"
#include "models/engine/step_totals.h"
#include "models/families/lookup/configured_model.h"
#include "parallel/dp/sharded_parameters.h"
#include "parallel/pp/simulation.h"

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
      model_(make_model(config.model, mesh, device, config.seed)),
      sync_(std::make_unique<GradientSync>(model_->parameters(), mesh)),
      optimizer_(make_optimizer(config.optimizer, config.optimizer_options, model_->parameters(),
                                config.parameter_groups)) {
  require(config.global_batch % (mesh.size(Axis::dp) * config.micro_batch) == 0,
          "global batch {} is not a multiple of dp {} x micro-batch {}", config.global_batch,
          mesh.size(Axis::dp), config.micro_batch);
  runner_ =
      std::make_unique<PipelineRunner>(Pipeline(mesh.parallelism(), micro_batches()), mesh, device);
  if (mesh.parallelism().zero >= 3) spread_values();
  const TokenSharding sharding(mesh.parallelism(), mesh.coordinates(), config.micro_batch,
                               config.model.seq_len);
  stage_value_ = {static_cast<int64_t>(sharding.stream_rows().size()), config.model.dim};
  const std::vector<int64_t>& own = model_->moe_layer_numbers();
  term_begin_.push_back(0);
  for (size_t layer = 0; layer < config.model.moe.size(); ++layer) {
    const auto& moe = config.model.moe[layer];
    if (!moe) continue;
    if (std::find(own.begin(), own.end(), static_cast<int64_t>(layer)) != own.end()) {
      moe_places_.push_back(term_begin_.size() - 1);
    }
    term_begin_.push_back(term_begin_.back() + moe->balance.size());
  }
}

TrainingEngine::~TrainingEngine() = default;

void TrainingEngine::read_corpus(const CorpusFacts& corpus) {
  for (MoELayer* layer : model_->moe_layers()) layer->read_corpus(corpus);
}

void TrainingEngine::spread_values() {
  values_ = std::make_unique<ShardedParameters>(model_->parameters(), model_->units(), mesh_);
  model_->keep_values(values_.get());
}

int64_t TrainingEngine::micro_batches() const {
  return config_.global_batch / (mesh_.size(Axis::dp) * config_.micro_batch);
}

double TrainingEngine::learning_rate(int64_t step) const {
  return config_.lr *
         schedule_factor(config_.schedule, config_.schedule_options, step, config_.steps);
}

void TrainingEngine::note(const StageWork& work, StepResult& result) const {
  result.loss = work.loss();
  for (size_t i = 0; i < moe_places_.size(); ++i) result.layers[moe_places_[i]] = work.stats()[i];
  for (const auto& layers : work.terms()) {
    for (size_t i = 0; i < layers.size(); ++i) {
      const size_t begin = term_begin_[moe_places_[i]];
      require(begin + layers[i].size() <= term_begin_[moe_places_[i] + 1],
              "{} loss terms of a layer with {}", layers[i].size(),
              term_begin_[moe_places_[i] + 1] - begin);
      for (size_t term = 0; term < layers[i].size(); ++term) {
        const double value = layers[i][term].value.item();
        (layers[i][term].type == "z" ? result.z_loss : result.balance_loss) += value;
        result.terms[begin + term] += value;
      }
    }
  }
}

// The loss is a share of each rank's tokens, the same on all tp ranks; balance terms and counts are
// the same on all ranks of a data rank. Each stage gives its own layers.
void TrainingEngine::sum_over_ranks(StepResult& result, const PipelineTimes& times, StepVote vote) {
  PhaseScope phase(&clock_, Phase::comm);
  for (const RouterStats& stats : result.layers) result.own_rows.push_back(stats.rows);
  add_over_ranks(result.layers, mesh_.group(Axis::dp));
  if (mesh_.size(Axis::pp) > 1) add_over_ranks(result.layers, mesh_.group(Axis::pp));
  const bool first_tp = mesh_.coordinate(Axis::tp) == 0;
  const bool first_of_data_rank = first_tp && mesh_.coordinate(Axis::cp) == 0;
  const auto stages = static_cast<size_t>(mesh_.size(Axis::pp));
  StepTotals totals;
  if (first_tp) totals.loss = result.loss;
  totals.terms.resize(result.terms.size());
  if (first_of_data_rank) {
    totals.balance_loss = result.balance_loss;
    totals.z_loss = result.z_loss;
    totals.terms = result.terms;
  }
  totals.stop = vote.stop ? 1.0 : 0.0;
  totals.ready = vote.ready ? 1.0 : 0.0;
  totals.stages.resize(stages);
  totals.stages[static_cast<size_t>(mesh_.coordinate(Axis::pp))] = times;
  sum_over(mesh_.all(), totals, device_);
  result.loss = totals.loss;
  result.balance_loss = totals.balance_loss;
  result.z_loss = totals.z_loss;
  result.terms = totals.terms;
  result.stop_requested = totals.stop > 0;
  result.save_ready = totals.ready == static_cast<double>(mesh_.shape().world());
  // Means over the ranks of each stage.
  const double per_stage = static_cast<double>(mesh_.shape().world()) / static_cast<double>(stages);
  std::vector<ChunkTime> computed;
  double seconds = 0;
  for (const PipelineTimes& of : totals.stages) {
    computed.push_back(
        {of.forward / per_stage, of.input_gradient / per_stage, of.weight_gradient / per_stage});
    seconds = std::max(seconds, of.all / per_stage);
  }
  result.pipeline = report(computed, seconds);
}

PipelineReport TrainingEngine::report(const std::vector<ChunkTime>& stages, double seconds) const {
  const Pipeline& pipeline = runner_->pipeline();
  const auto runs = static_cast<double>(pipeline.micro_batches * pipeline.chunks);
  std::vector<ChunkTime> chunks;
  double busiest = 0;
  double sum = 0;
  for (int place = 0; place < pipeline.virtual_stage_count(); ++place) {
    const ChunkTime& all = stages[static_cast<size_t>(place % pipeline.stages)];
    chunks.push_back({all.forward / runs, all.input_gradient / runs, all.weight_gradient / runs});
  }
  for (const ChunkTime& all : stages) {
    busiest = std::max(busiest, all.all());
    sum += all.all();
  }
  PipelineReport out;
  out.formula = bubble_share(pipeline, ChunkTime());
  out.seconds = seconds;
  if (sum <= 0 || seconds <= 0) return out;
  const auto count = static_cast<double>(stages.size());
  const SimulatedRun paper = simulate(pipeline, chunks);
  out.bubble = 1.0 - sum / (count * seconds);
  out.simulated = paper.bubble();
  out.imbalance = busiest * count / sum;
  out.simulated_seconds = paper.seconds;
  return out;
}

StepResult TrainingEngine::step(int64_t step, const std::function<TokenBatch(int64_t micro)>& batch,
                                StepVote vote,
                                const std::vector<std::vector<SparseAssignment>>* replay) {
  StepResult result = attempt(step, batch, vote, replay);
  if (!result.updated) {
    fail(ExitCode::numbers, "step {}: the loss is {} and the gradient norm {}", step + 1,
         result.loss, result.grad_norm);
  }
  return result;
}

StepResult TrainingEngine::attempt(int64_t step,
                                   const std::function<TokenBatch(int64_t micro)>& batch,
                                   StepVote vote,
                                   const std::vector<std::vector<SparseAssignment>>* replay) {
  StepResult result;
  for (const auto& moe : config_.model.moe) {
    if (moe) result.layers.push_back(no_stats(*moe));
  }
  result.terms.assign(term_begin_.back(), 0.0);
  sync_->begin_step();
  if (values_) {
    values_->announce(model_->step_uses(runner_->pipeline()));
  }
  StageWork work(
      {config_, mesh_, device_, runner_->pipeline(), *model_, *sync_, clock_, keep_assignments_},
      step, batch, replay);
  const PipelineTimes times = runner_->run(work, stage_value_, config_.model.compute, &clock_);
  if (values_) values_->announce({});
  note(work, result);
  last_assignments_ = work.take_assignments();
  {
    PhaseScope phase(&clock_, Phase::comm);
    sync_->finish();
  }
  sum_over_ranks(result, times, vote);
  PhaseScope phase(&clock_, Phase::optimizer);
  result.grad_norm = sync_->gradient_norm();
  result.lr = learning_rate(step);
  result.updated = std::isfinite(result.loss) && std::isfinite(result.grad_norm);
  if (!result.updated) return result;
  sync_->update(*optimizer_, result.lr, clip_scale(result.grad_norm, config_.clip));
  for (size_t i = 0; i < moe_places_.size(); ++i) {
    model_->moe_layers()[i]->after_step(result.layers[moe_places_[i]]);
  }
  return result;
}

State TrainingEngine::state() {
  State state;
  for (Parameter* parameter : model_->parameters()) {
    const std::string name = "parameters/" + parameter->name();
    if (parameter->keeps_owned_value_only()) {
      append_range(state, name, parameter->layout(), parameter->slice(), parameter->owned(),
                   parameter->owned_value());
    } else {
      append_parts(state, name, parameter->layout(), parameter->slice(), parameter->value());
    }
  }
  optimizer_->state(state);
  for (MoELayer* layer : model_->moe_layers()) layer->state(state);
  return state;
}

State TrainingEngine::gradients() {
  State state;
  for (Parameter* parameter : model_->parameters()) {
    append_range(state, "gradients/" + parameter->name(), parameter->layout(), parameter->slice(),
                 parameter->owned(), parameter->owned_gradient());
  }
  return state;
}

void TrainingEngine::state_loaded() {
  for (Parameter* parameter : model_->parameters()) parameter->value_changed();
}

}  // namespace troupe
