// The training loop of one run: steps, evaluation, rows of metrics, checkpoints, stopping on
// request.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "launch/config/run_config.h"
#include "launch/metrics/progress.h"
#include "launch/metrics/run_log.h"
#include "launch/training/rank_runtime.h"
#include "launch/training/row_totals.h"
#include "launch/training/run_directory.h"
#include "launch/training/training_data.h"
#include "models/engine/training_engine.h"
#include "parallel/checkpoint/async_saver.h"

namespace troupe {

class Trainer {
 public:
  // stop_requested: asked before every step and after every batch of an evaluation, may differ
  // between ranks. Everything is collective.
  Trainer(const RunConfig& config, TrainingData& data, RankRuntime& runtime,
          RunDirectory& directory, std::function<bool()> stop_requested);
  ~Trainer();

  // Loads the state of a checkpoint; training goes on after its step.
  void resume(const std::string& checkpoint);
  // Begins with the parameters of this file, which must fit (see initial_weights.h).
  void begin_with(const std::string& checkpoint);
  int64_t completed_steps() const { return completed_; }

  // Trains to train.steps or until any rank is asked to stop; ok or interrupted. An evaluation that
  // a stop cut short is made first.
  ExitCode run();
  // Nothing is left to do, neither steps nor such an evaluation. Collective.
  bool finished();

 private:
  StepResult train_step(int64_t step);
  bool due(int64_t every, int64_t step) const { return every > 0 && step % every == 0; }
  // Returns whether to stop: `stopping`, or a request during the evaluation.
  bool after_step(int64_t step, const StepResult& result, bool stopping);
  bool evaluation_due(int64_t step) const;
  // The row of the completed step lacks its evaluation. Collective.
  bool evaluation_left();
  // False when cut short again.
  bool make_up_evaluation();
  // Nothing when any rank was asked to stop meanwhile.
  std::optional<double> evaluate();
  bool any_rank(bool mine, const char* site);
  // Beside training, or at once where nothing follows it.
  void save(int64_t step, bool beside_training);
  void saved(const std::optional<std::string>& path);
  ExitCode run_steps();
  void finish_saving();
  void show_banner();  // collective
  void show_end(bool finished);

  RunConfig config_;
  TrainingData& data_;
  RankRuntime& runtime_;
  RunDirectory& directory_;
  std::function<bool()> stop_requested_;
  Mesh mesh_;
  TrainingEngine engine_;
  RowTotals totals_;
  std::unique_ptr<RunLog> log_;         // on the leader
  std::unique_ptr<Progress> progress_;  // on the leader
  int64_t completed_ = 0;
  std::string resumed_from_;
  std::optional<double> val_loss_;  // of the last evaluation here, after val_step_
  int64_t val_step_ = 0;
  std::shared_ptr<checkpoint::SaveWarnings> save_warnings_ =
      std::make_shared<checkpoint::SaveWarnings>();
  checkpoint::AsyncSaver saver_;
  StepMetrics last_row_;
  std::string last_checkpoint_;
};

}  // namespace troupe
