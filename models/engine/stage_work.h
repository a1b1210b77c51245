// What this rank's pipeline stage computes in one step of training: loads micro-batches, runs its
// pieces of the model, and notes what they tell. (With one stage: the whole model.)
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "core/base/phase_clock.h"
#include "models/engine/batch_tensors.h"
#include "models/model/model.h"
#include "parallel/dp/gradient_sync.h"
#include "parallel/pp/runner.h"

namespace troupe {

struct EngineConfig;

class StageWork final : public PipelineStage {
 public:
  // What does not change from step to step.
  struct Inputs {
    const EngineConfig& config;
    const Mesh& mesh;
    std::shared_ptr<Device> device;
    const Pipeline& pipeline;
    Model& model;
    GradientSync& sync;
    PhaseClock& clock;
    bool keep_assignments;
  };
  using Batches = std::function<TokenBatch(int64_t micro)>;
  using Replay =
      std::vector<std::vector<SparseAssignment>>;  // [micro-batch][MoE layer of this rank]

  StageWork(const Inputs& inputs, int64_t step, const Batches& batch, const Replay* replay);

  Tensor forward(int chunk, int64_t micro, const Tensor& x_TD) override;
  void forwards_done(bool backward_begun) override;

  // After the run. This rank's share of the loss; 0 but on the last stage.
  double loss() const;
  // Of the MoE layers of this rank: sums over its micro-batches, and the loss terms of each
  // micro-batch [micro-batch][layer].
  const std::vector<RouterStats>& stats() const { return stats_; }
  const std::vector<std::vector<std::vector<LossTerm>>>& terms() const { return terms_; }
  Replay take_assignments() { return std::move(assignments_); }

 private:
  struct MicroBatch {
    MicroBatchContext stream;
    Tensor targets;
  };
  MicroBatch load(int64_t micro);
  bool planted(PlantedBug bug) const;  // by a test

  Inputs inputs_;
  int64_t step_;
  const Batches& batch_;
  const Replay* replay_;
  std::map<int64_t, MicroBatch> loaded_;  // between their first and their last chunk
  std::vector<Tensor> losses_;            // of the micro-batches; read once, with the step's totals
  std::vector<RouterStats> stats_;
  std::vector<std::vector<std::vector<LossTerm>>> terms_;
  Replay assignments_;
};

}  // namespace troupe
