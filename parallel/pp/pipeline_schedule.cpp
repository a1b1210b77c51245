#include "parallel/pp/pipeline_schedule.h"

#include <algorithm>

#include "core/base/error.h"

namespace troupe {
namespace {

// The steps that compute, without messages.
class Order {
 public:
  Order(const Pipeline& pipeline, int stage) : pipeline_(pipeline), stage_(stage) {}

  std::vector<PipelineStep> all() {
    switch (pipeline_.schedule) {
      case PipelineSchedule::gpipe:
        all_forwards_first();
        break;
      case PipelineSchedule::one_f_one_b:
        alternate(before_first_backward(), PipelineAction::backward);
        break;
      case PipelineSchedule::interleaved:
        alternate(before_first_backward(), PipelineAction::backward);
        break;
      case PipelineSchedule::zero_bubble:
        alternate(before_first_backward(), PipelineAction::input_gradient);
        break;
    }
    return std::move(steps_);
  }

  // Forwards that run before the stage alternates.
  int64_t before_first_backward() const {
    const int64_t after = pipeline_.stages - 1 - stage_;
    const int64_t first = pipeline_.chunks == 1
                              ? after
                              : 2 * after + int64_t{pipeline_.chunks - 1} * pipeline_.stages;
    return std::min(first, count());
  }

 private:
  int64_t count() const { return pipeline_.micro_batches * pipeline_.chunks; }

  // Step k of the forwards: with several chunks, `stages` micro-batches go through one chunk, then
  // the same ones through the next.
  PipelineStep forward(int64_t k) const {
    if (pipeline_.chunks == 1) return {PipelineAction::forward, 0, k};
    const int64_t stages = pipeline_.stages;
    const int64_t round = stages * pipeline_.chunks;
    return {PipelineAction::forward, static_cast<int>(k % round / stages),
            k / round * stages + k % stages};
  }
  PipelineStep backward(int64_t k, PipelineAction action) const {
    PipelineStep step = forward(k);
    step.action = action;
    step.chunk = pipeline_.chunks - 1 - step.chunk;
    return step;
  }

  void all_forwards_first() {
    for (int64_t k = 0; k < count(); ++k) steps_.push_back(forward(k));
    for (int64_t k = 0; k < count(); ++k) steps_.push_back(backward(k, PipelineAction::backward));
  }

  void alternate(int64_t ahead, PipelineAction action) {
    for (int64_t k = 0; k < ahead; ++k) steps_.push_back(forward(k));
    // Weight gradients stay behind by as many micro-batches as there are stages before this one:
    // then they fill the end of the step, and every stage holds `stages` micro-batches at most.
    int64_t weights = 0;
    for (int64_t k = 0; k < count(); ++k) {
      if (ahead + k < count()) steps_.push_back(forward(ahead + k));
      steps_.push_back(backward(k, action));
      if (action == PipelineAction::input_gradient && k - weights >= stage_) {
        steps_.push_back(backward(weights++, PipelineAction::weight_gradient));
      }
    }
    if (action != PipelineAction::input_gradient) return;
    while (weights < count()) {
      steps_.push_back(backward(weights++, PipelineAction::weight_gradient));
    }
  }

  const Pipeline& pipeline_;
  int stage_;
  std::vector<PipelineStep> steps_;
};

}  // namespace

int chunks_per_stage(const Parallelism& parallelism) {
  return parallelism.shape[Axis::pp] > 1 ? parallelism.virtual_stages : 1;
}

Pipeline::Pipeline(const Parallelism& parallelism, int64_t micro_batches)
    : Pipeline(parallelism.schedule, parallelism.shape[Axis::pp], chunks_per_stage(parallelism),
               micro_batches) {}

Pipeline::Pipeline(PipelineSchedule kind, int stages, int chunks, int64_t micro_batches)
    : schedule(kind), stages(stages), chunks(chunks), micro_batches(micro_batches) {
  require(stages >= 1 && chunks >= 1, "a pipeline of {} stages with {} chunks", stages, chunks);
  if (chunks > 1 && kind != PipelineSchedule::interleaved) {
    fail(ExitCode::usage,
         "virtual_stages = {}: only schedule interleaved has several chunks per stage", chunks);
  }
  if (chunks > 1 && micro_batches % stages != 0) {
    fail(ExitCode::usage,
         "schedule interleaved needs a multiple of pp = {} micro-batches, and there are {}", stages,
         micro_batches);
  }
}

std::vector<PipelineStep> pipeline_steps(const Pipeline& pipeline, int stage) {
  require(stage >= 0 && stage < pipeline.stages, "stage {} of {}", stage, pipeline.stages);
  std::vector<PipelineStep> out;
  for (const PipelineStep& step : Order(pipeline, stage).all()) {
    const int virtual_stage = pipeline.virtual_stage(stage, step.chunk);
    const bool first = virtual_stage == 0;
    const bool last = pipeline.is_last(virtual_stage);
    const auto message = [&](PipelineAction action) {
      out.push_back({action, step.chunk, step.micro_batch});
    };
    if (step.action == PipelineAction::forward) {
      if (!first) message(PipelineAction::receive_value);
      out.push_back(step);
      if (!last) message(PipelineAction::send_value);
    } else if (step.action == PipelineAction::weight_gradient) {
      out.push_back(step);
    } else {
      if (!last) message(PipelineAction::receive_gradient);
      out.push_back(step);
      if (!first) message(PipelineAction::send_gradient);
    }
  }
  return out;
}

int64_t promised_in_flight(const Pipeline& pipeline, int stage) {
  const int64_t all = pipeline.micro_batches * pipeline.chunks;
  switch (pipeline.schedule) {
    case PipelineSchedule::gpipe:
      return all;
    case PipelineSchedule::one_f_one_b:
    case PipelineSchedule::interleaved:
      return std::min(all, Order(pipeline, stage).before_first_backward() + 1);
    case PipelineSchedule::zero_bubble:
      return std::min<int64_t>(all, pipeline.stages);
  }
  return all;
}

double bubble_time(const Pipeline& pipeline, const ChunkTime& time) {
  const double others = pipeline.stages - 1;
  if (pipeline.schedule != PipelineSchedule::zero_bubble) return others * time.all();
  const double filled =
      std::min(static_cast<double>(pipeline.micro_batches - 1), others) * time.weight_gradient;
  return others * (time.forward + time.input_gradient) - filled;
}

double bubble_share(const Pipeline& pipeline, const ChunkTime& time) {
  const double bubble = bubble_time(pipeline, time);
  const double work = static_cast<double>(pipeline.micro_batches * pipeline.chunks) * time.all();
  return bubble / (bubble + work);
}

LayerRange layers_of_virtual_stage(int64_t layers, int virtual_stages, int virtual_stage) {
  require(virtual_stage >= 0 && virtual_stage < virtual_stages, "virtual stage {} of {}",
          virtual_stage, virtual_stages);
  const int64_t each = layers / virtual_stages;
  const int64_t more = layers % virtual_stages;
  const int64_t begin = virtual_stage * each + std::min<int64_t>(virtual_stage, more);
  return {begin, begin + each + (virtual_stage < more ? 1 : 0)};
}

bool is_sequential(const Pipeline& pipeline) {
  return pipeline.stages == 1 && pipeline.schedule != PipelineSchedule::gpipe &&
         pipeline.schedule != PipelineSchedule::zero_bubble;
}

}  // namespace troupe
