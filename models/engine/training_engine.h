// One optimizer step of a model over the ranks of a mesh: forward and backward of each
// micro-batch, gradient sums, clipping, the update, and what routers move after a step. Used by
// train, bench, selftest and the layout laws.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/phase_clock.h"
#include "core/optim/lr_schedule.h"
#include "core/optim/optimizer.h"
#include "models/engine/batch_tensors.h"
#include "models/engine/engine_config.h"
#include "models/model/model.h"
#include "parallel/dp/gradient_sync.h"
#include "parallel/pp/runner.h"

namespace troupe {

// Micro-batch `micro` of data rank `dp`: micro_batch consecutive samples of the step's batch.
std::vector<int64_t> micro_batch_samples(const EngineConfig& config, int64_t dp_size,
                                         int64_t dp_rank, int64_t micro);

// How the pipeline of one step went: shares of the time of all stages in which they waited, as
// measured, and as the schedule would have it without messages, with the measured times of the
// stages and with equal ones. imbalance: computing of the busiest stage over the mean.
struct PipelineReport {
  double bubble = 0;
  double simulated = 0;
  double formula = 0;
  double imbalance = 1;
  double seconds = 0;            // from the first forward to the last backward
  double simulated_seconds = 0;  // the same on paper
};

// Equal on every rank, except where said.
struct StepResult {
  double loss = 0;          // nats per token, without regularisers
  double balance_loss = 0;  // all terms but z, with their coefficients
  double z_loss = 0;
  // Each balance term of each MoE layer, in the order of the configuration.
  std::vector<double> terms;
  double grad_norm = 0;  // before clipping
  double lr = 0;
  bool updated = false;             // loss and gradients are finite
  bool stop_requested = false;      // by any rank
  bool save_ready = false;          // on every rank
  std::vector<RouterStats> layers;  // per MoE layer of the model, of the whole batch
  std::vector<int64_t> own_rows;    // per MoE layer: rows that THIS rank's experts computed
  PipelineReport pipeline;          // timings: not the same bits twice
};

// What a rank tells the others with its step.
struct StepVote {
  bool stop = false;   // it was asked to stop
  bool ready = false;  // its phase of the save in flight is over
};

class ShardedParameters;
class StageWork;

class TrainingEngine {
 public:
  TrainingEngine(const EngineConfig& config, const Mesh& mesh,
                 const std::shared_ptr<Device>& device);
  ~TrainingEngine();

  // For routers that depend on the corpus: before the first step of a run.
  void read_corpus(const CorpusFacts& corpus);

  // batch(micro): this rank's micro-batch, asked for in order.
  // replay (for tests): one list of assignments (of this rank's MoE layers) per micro-batch. Where
  // loss or gradients are not finite, on every rank alike, the result is not `updated` and the
  // parameters are still those of the step before.
  StepResult attempt(int64_t step, const std::function<TokenBatch(int64_t micro)>& batch,
                     StepVote vote = {},
                     const std::vector<std::vector<SparseAssignment>>* replay = nullptr);
  // The same; throws Error(numbers) on every rank where nothing is updated.
  StepResult step(int64_t step, const std::function<TokenBatch(int64_t micro)>& batch,
                  StepVote vote = {},
                  const std::vector<std::vector<SparseAssignment>>* replay = nullptr);

  Model& model() { return *model_; }
  const Mesh& mesh() const { return mesh_; }
  const EngineConfig& config() const { return config_; }
  PhaseClock& clock() { return clock_; }
  int64_t micro_batches() const;
  double learning_rate(int64_t step) const;
  // Everything that a resume needs but the step number.
  State state();
  // The gradients of the last step that this rank owns, summed over the ranks: "gradients/NAME".
  State gradients();
  // After a load into state()'s tensors.
  void state_loaded();
  // The assignments of the last step, per micro-batch and MoE layer (for replay in tests).
  const std::vector<std::vector<SparseAssignment>>& last_assignments() const {
    return last_assignments_;
  }
  void keep_assignments(bool keep) { keep_assignments_ = keep; }

 private:
  // Fills in what the MoE layers of this rank told, at their places in the model.
  void note(const StageWork& work, StepResult& result) const;
  void spread_values();
  void sum_over_ranks(StepResult& result, const PipelineTimes& times, StepVote vote);
  PipelineReport report(const std::vector<ChunkTime>& stages, double seconds) const;

  EngineConfig config_;
  const Mesh& mesh_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<GradientSync> sync_;         // says what the optimizer owns
  std::unique_ptr<ShardedParameters> values_;  // with zero 3
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<PipelineRunner> runner_;
  Shape stage_value_;               // of one micro-batch, between stages
  std::vector<size_t> moe_places_;  // of this rank's MoE layers among those of the model
  std::vector<size_t> term_begin_;  // per MoE layer of the model, and the end
  PhaseClock clock_;
  bool keep_assignments_ = false;
  std::vector<std::vector<SparseAssignment>> last_assignments_;
};

}  // namespace troupe
