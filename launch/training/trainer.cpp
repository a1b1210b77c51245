#include "launch/training/trainer.h"

#include <errno.h>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "core/base/log.h"
#include "core/io/atomic_file.h"
#include "core/kernels/cpu/instruction_set.h"
#include "launch/config/engine_config.h"
#include "launch/config/resolved.h"
#include "launch/config/run_cost.h"
#include "launch/metrics/text.h"
#include "launch/training/automatic_precision.h"
#include "launch/training/diverged.h"
#include "launch/training/evaluation_progress.h"
#include "launch/training/instructions_of_ranks.h"
#include "launch/training/machine_rate.h"
#include "models/cost/estimate.h"
#include "models/engine/held_out_loss.h"
#include "models/engine/sampled_batches.h"
#include "models/families/lookup/configured_model.h"
#include "models/layouts/layout_text.h"
#include "moe/routers/table.h"
#include "parallel/checkpoint/directory.h"

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;

// Of the whole model, of which a pipeline stage holds some.
std::vector<ExpertLayer> expert_layers(const ModelConfig& model) {
  std::vector<ExpertLayer> layers;
  for (size_t i = 0; i < model.moe.size(); ++i) {
    if (model.moe[i]) layers.push_back({static_cast<int64_t>(i), model.moe[i]->experts});
  }
  return layers;
}

int64_t scalar_step(const State& state) {
  for (const StateScalar& scalar : state.scalars) {
    if (scalar.name == "step") return std::get<int64_t>(scalar.value);
  }
  return 0;
}

std::string describe_model(const ModelConfig& model) {
  std::string text = fmt::format("{}, {} layers, dim {}", model.family, model.layers, model.dim);
  for (const auto& moe : model.moe) {
    if (moe)
      return text + fmt::format(", {} experts of {}, {}", moe->experts, moe->ffn_dim, moe->router);
  }
  return text + ", dense";
}

}  // namespace

Trainer::Trainer(const RunConfig& config, TrainingData& data, RankRuntime& runtime,
                 RunDirectory& directory, std::function<bool()> stop_requested)
    : config_(config),
      data_(data),
      runtime_(runtime),
      directory_(directory),
      stop_requested_(std::move(stop_requested)),
      mesh_(config.parallel, runtime.world()),
      engine_(engine_config(config), mesh_, runtime.device()),
      totals_(training_flops(config.model, config.train.global_batch),
              config.train.global_batch * config.model.seq_len),
      saver_(runtime.world(), runtime.device()) {
  engine_.read_corpus(CorpusFacts([&data] { return token_counts(data.corpus.train); }));
}

Trainer::~Trainer() = default;

void Trainer::resume(const std::string& checkpoint) {
  State state = engine_.state();
  state.scalars = {{"step", int64_t{0}}, {"tokens", int64_t{0}}};
  checkpoint::load(checkpoint, state, *runtime_.world());
  engine_.state_loaded();
  completed_ = scalar_step(state);
  resumed_from_ = checkpoint;
}

void Trainer::begin_with(const std::string& checkpoint) {
  const std::string parameters = "parameters/";
  State state = engine_.state();
  std::erase_if(state.tensors, [&](const StateTensor& entry) {
    return entry.name.compare(0, parameters.size(), parameters) != 0;
  });
  state.scalars.clear();
  checkpoint::LoadOptions options;
  options.prefixes = {parameters};
  options.widen = true;
  checkpoint::load(checkpoint, state, *runtime_.world(), options);
  engine_.state_loaded();
}

StepResult Trainer::train_step(int64_t step) {
  const auto batch = sampled_batches(engine_, *data_.sampler, step);
  const auto begin = Clock::now();
  StepResult result =
      engine_.attempt(step, batch, {.stop = stop_requested_(), .ready = saver_.ready()});
  totals_.add_step(Clock::now() - begin);
  return result;
}

bool Trainer::any_rank(bool mine, const char* site) {
  const Tensor votes =
      Tensor::full({1}, DType::f64, mine ? 1.0 : 0.0, runtime_.device(), MemoryKind::communication);
  runtime_.world()->all_reduce_sum(votes.view(), site).finish();
  return votes.item() > 0.0;
}

bool Trainer::evaluation_due(int64_t step) const {
  return data_.held_out && config_.eval.every > 0 &&
         (due(config_.eval.every, step) || step == config_.train.steps);
}

bool Trainer::evaluation_left() {
  return completed_ > 0 && evaluation_due(completed_) &&
         any_rank(runtime_.leader() && lacks_val_loss(directory_.path(), completed_),
                  "evaluation left");
}

bool Trainer::finished() { return completed_ >= config_.train.steps && !evaluation_left(); }

std::optional<double> Trainer::evaluate() {
  // Its time is not a step's: phases are not charged, because evaluation gets no clock.
  if (progress_) progress_->clear();
  EvaluationProgress evaluated(data_.held_out->windows());
  const HeldOutLoss loss =
      held_out_loss(engine_.model(), *data_.held_out, config_.train.micro_batch, mesh_,
                    runtime_.device(), [&](int64_t done, int64_t batches) {
                      if (progress_) evaluated(done, batches);
                      return !any_rank(stop_requested_(), "stop request");
                    });
  if (!loss.complete) return std::nullopt;
  val_loss_ = loss.nats_per_token;
  val_step_ = completed_;
  return loss.nats_per_token;
}

bool Trainer::make_up_evaluation() {
  const std::optional<double> val_loss = evaluate();
  if (!val_loss) return false;
  if (log_) {
    log_->add_val_loss(*val_loss);
    progress_->message(fmt::format("step {}: val_loss {}\n", completed_, loss_number(*val_loss)));
  }
  if (!std::isfinite(*val_loss)) fail_diverged(engine_.config(), completed_, *val_loss);
  return true;
}

void Trainer::saved(const std::optional<std::string>& path) {
  if (path) last_checkpoint_ = *path;
}

void Trainer::save(int64_t step, bool beside_training) {
  State state = engine_.state();
  state.scalars = {{"step", step},
                   {"tokens", step * config_.train.global_batch * config_.model.seq_len}};
  checkpoint::SaveOptions options;
  options.config = resolved_yaml(config_, {.for_checkpoint = true});
  options.shard_above = config_.checkpoint.shard_above;
  options.warnings = save_warnings_;
  saved(saver_.finish());
  if (beside_training && config_.checkpoint.async) {
    saver_.start(directory_.path(), step, config_.checkpoint.keep, state, options);
    return;
  }
  saved(checkpoint::save_step(directory_.path(), step, config_.checkpoint.keep, state,
                              *runtime_.world(), options));
}

bool Trainer::after_step(int64_t step, const StepResult& result, bool stopping) {
  if (result.save_ready) saved(saver_.advance());
  const bool last = step == config_.train.steps;
  const bool evaluating = result.updated && evaluation_due(step);
  std::optional<StepMetrics> row;
  if (due(config_.logging.every, step) || step == 1 || evaluating || last || stopping ||
      !result.updated) {
    row = totals_.take(step, result, engine_, *runtime_.device());
  }
  // The row of a step whose evaluation a stop leaves out gets it when the run goes on.
  if (evaluating && !stopping) row->val_loss = evaluate();
  stopping = stopping || (evaluating && !row->val_loss);
  if (row) {
    last_row_ = *row;
    if (log_) {
      std::vector<int64_t> counts;
      for (const RouterStats& layer : result.layers) {
        counts.insert(counts.end(), layer.selected.begin(), layer.selected.end());
      }
      log_->append(*row, counts);
    }
  }
  if (progress_) {
    ProgressState shown;
    shown.step = step;
    shown.total_steps = config_.train.steps;
    shown.loss = result.loss;
    shown.val_loss = val_loss_;
    shown.val_step = val_step_;
    shown.tokens_per_s = last_row_.tokens_per_s;
    shown.moe = !result.layers.empty();
    shown.load_max_over_mean = last_row_.load_max_over_mean;
    shown.dropped_fraction = last_row_.dropped_fraction;
    shown.grad_norm = result.grad_norm;
    shown.lr = result.lr;
    progress_->step(shown);
    if (row) progress_->line(shown);
  }
  // After the row and the line, which show it.
  if (!result.updated) fail_diverged(engine_.config(), step, result);
  if (evaluating && !stopping && !std::isfinite(*row->val_loss)) {
    fail_diverged(engine_.config(), step, *row->val_loss);
  }
  if (last || stopping || due(config_.checkpoint.every, step)) save(step, !last && !stopping);
  return stopping;
}

ExitCode Trainer::run() {
  try {
    return run_steps();
  } catch (const Error& error) {
    // Every rank sees this one at the same step: the checkpoint before it is still worth having.
    if (error.code() == ExitCode::numbers) finish_saving();
    throw;
  }
}

void Trainer::finish_saving() {
  try {
    saved(saver_.finish());
  } catch (const Error& error) {
    log::warning("{}", error.what());
  }
}

ExitCode Trainer::run_steps() {
  if (runtime_.leader()) {
    log_ = std::make_unique<RunLog>(directory_.path(), completed_,
                                    expert_layers(engine_.config().model),
                                    config_.logging.tensorboard);
    progress_ = std::make_unique<Progress>(stderr);
  }
  log::configure(log::Level::info, runtime_.rank(), runtime_.leader(), Progress::live_on(stderr));
  show_banner();
  bool stopping = evaluation_left() && !make_up_evaluation();
  const int64_t first = completed_;
  while (completed_ < config_.train.steps && !stopping) {
    if (completed_ > first && totals_.gemm_rate() == 0) {
      // Before the second step, so that nothing delays the first one and its row; all ranks at
      // once, as in training.
      totals_.set_gemm_rate(
          total_gemm_rate(config_.model.compute, *runtime_.world(), runtime_.device()));
    }
    const StepResult result = train_step(completed_);
    ++completed_;
    stopping = result.stop_requested && completed_ < config_.train.steps;
    stopping = after_step(completed_, result, stopping);
  }
  show_end(!stopping);
  return stopping ? ExitCode::interrupted : ExitCode::ok;
}

void Trainer::show_banner() {
  const std::string instructions = describe(
      instructions_of_ranks(kernels::cpu::instruction_set(), *runtime_.world(), runtime_.device()));
  if (!progress_) return;
  const ModelSize size = model_size(config_.model);
  BannerInfo info;
  info.version = "troupe " TROUPE_VERSION;
  info.run_name = config_.run.name;
  info.run_dir = directory_.path();
  info.model = describe_model(config_.model);
  info.data = describe(data_);
  info.world_size = runtime_.size();
  info.layout = describe(config_.parallel);
  info.precision = describe_precision(config_);
  info.instructions = instructions;
  info.parameters = size.parameters;
  info.active_parameters = size.active_parameters;
  info.tokens_per_step = config_.train.global_batch * config_.model.seq_len;
  info.steps = config_.train.steps;
  info.resume_step = completed_;
  info.resume_from = resumed_from_;
  info.threads = runtime_.threads();
  info.memory_estimate_bytes =
      estimate_memory(cost_inputs(config_), runtime_.threads()).total_bytes;
  info.warnings = runtime_.warnings();
  progress_->message(banner(info));
}

void Trainer::show_end(bool finished) {
  if (!progress_) return;
  EndInfo info;
  if (val_loss_) {
    const std::string of = val_step_ == completed_ ? "" : fmt::format(" at step {}", val_step_);
    info.rows.emplace_back("val_loss", fmt::format("{:.4f} nats/token{}", *val_loss_, of));
  }
  if (last_row_.step > 0) {  // else only an evaluation was made up
    info.rows.emplace_back("loss", fmt::format("{:.4f} nats/token", last_row_.loss));
    info.rows.emplace_back("tokens_per_s", fmt::format("{:.0f}", last_row_.tokens_per_s));
  }
  info.rows.emplace_back("run", directory_.path());
  info.rows.emplace_back("checkpoint", last_checkpoint_.empty() ? resumed_from_ : last_checkpoint_);
  if (log_ && log_->dropped() > 0)
    info.rows.emplace_back("lost log records", std::to_string(log_->dropped()));
  if (finished) {
    // To be copied: the program as it was called, which need not be in the PATH.
    for (const char* command : {" eval ", " generate ", " report "}) {
      info.next_commands.push_back(shell_word(program_invocation_name) + command +
                                   shell_word(directory_.path()));
    }
  } else {
    info.next_commands = {"start the same command again to go on from here"};
  }
  progress_->message(end_table(info));
}

}  // namespace troupe
