// Runs the steps of a pipeline schedule on this rank's stage: values and their gradients travel
// between neighbouring stages while the stage computes.
#pragma once

#include <memory>
#include <vector>

#include "core/base/phase_clock.h"
#include "core/tensor/tensor.h"
#include "parallel/mesh/mesh.h"
#include "parallel/pp/pipeline_schedule.h"

namespace troupe {

// What a stage computes. Called in the order of the schedule.
class PipelineStage {
 public:
  virtual ~PipelineStage() = default;
  // x: the value of the place before, undefined at the first place. Returns the value of the chunk
  // on the tape; the last place returns a loss of one element.
  virtual Tensor forward(int chunk, int64_t micro_batch, const Tensor& x) = 0;
  // Every forward of this stage has run. backward_begun: not before every backward.
  virtual void forwards_done(bool backward_begun) = 0;
};

// Seconds of one run on this rank. Compute includes what the ranks of the stage say to each other.
struct PipelineTimes {
  double forward = 0;
  double input_gradient = 0;   // with both halves where the schedule does not split them
  double weight_gradient = 0;  // where it does
  double all = 0;              // from the first step to the last, waiting included
  double compute() const { return forward + input_gradient + weight_gradient; }
};

class PipelineRunner {
 public:
  // The mesh must outlive this.
  PipelineRunner(const Pipeline& pipeline, const Mesh& mesh, const std::shared_ptr<Device>& device);

  const Pipeline& pipeline() const { return pipeline_; }
  // Forward and backward of all micro-batches. value: shape and type of the values between stages,
  // the same for all micro-batches. clock: may be null. Entered by all ranks of the pipeline.
  PipelineTimes run(PipelineStage& stage, const Shape& value, DType type, PhaseClock* clock);

 private:
  Pipeline pipeline_;
  const Mesh& mesh_;
  std::shared_ptr<Device> device_;
  std::vector<PipelineStep> steps_;  // of this stage
};

}  // namespace troupe
