#include "parallel/pp/runner.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <map>

#include "core/autograd/tape.h"
#include "core/base/error.h"

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;

// Tensors that come from one neighbour, in the order of the schedule. One more than is needed now
// is asked for, so that it can arrive while the stage computes.
class Inbox {
 public:
  // micro_batches: of the tensors, in the order in which they come.
  Inbox(Communicator& group, int from, const char* site, std::deque<int64_t> micro_batches)
      : group_(group), from_(from), site_(site), left_(std::move(micro_batches)) {}

  Tensor take(const Shape& shape, DType type, const std::shared_ptr<Device>& device) {
    while (!left_.empty() && coming_.size() < 2) {
      PositionScope position(group_.world().position());
      position->micro_batch = static_cast<int32_t>(left_.front());
      Tensor to = Tensor::empty(shape, type, device);
      Work work = group_.receive(to.view(), from_, site_);
      coming_.push_back({std::move(to), std::move(work)});
      left_.pop_front();
    }
    coming_.front().work.wait(coming_.front().tensor.stream());
    Tensor out = std::move(coming_.front().tensor);
    coming_.pop_front();
    return out;
  }

 private:
  struct Coming {
    Tensor tensor;
    Work work;
  };
  Communicator& group_;
  int from_;
  const char* site_;
  std::deque<int64_t> left_;  // not asked for yet
  std::deque<Coming> coming_;
};

// Tensors on their way to a neighbour: kept until they have left.
class Outbox {
 public:
  void send(const Tensor& tensor, Communicator& group, int to, const char* site) {
    std::erase_if(going_, [](Going& going) { return going.work.done(); });
    Work work = group.send(tensor.view(), to, site);
    going_.push_back({tensor, std::move(work)});
  }
  void finish() {
    for (Going& going : going_) going.work.finish();
    going_.clear();
  }

 private:
  struct Going {
    Tensor tensor;
    Work work;
  };
  std::vector<Going> going_;
};

std::deque<int64_t> micro_batches_of(const std::vector<PipelineStep>& steps,
                                     PipelineAction action) {
  std::deque<int64_t> out;
  for (const PipelineStep& step : steps) {
    if (step.action == action) out.push_back(step.micro_batch);
  }
  return out;
}

Pass pass_of(PipelineAction action) {
  switch (action) {
    case PipelineAction::receive_value:
    case PipelineAction::send_value:
    case PipelineAction::forward:
      return Pass::forward;
    case PipelineAction::weight_gradient:
      return Pass::weight_gradient;
    default:
      return Pass::backward;
  }
}

class Run {
 public:
  Run(const Pipeline& pipeline, const std::vector<PipelineStep>& steps, const Mesh& mesh,
      PipelineStage& stage, const Shape& shape, DType type, const std::shared_ptr<Device>& device,
      PhaseClock* clock)
      : pipeline_(pipeline),
        steps_(steps),
        stage_(stage),
        shape_(shape),
        type_(type),
        device_(device),
        clock_(clock),
        rank_(mesh.coordinate(Axis::pp)),
        values_(mesh.group(Axis::pp)),
        gradients_(mesh.pipeline_back()),
        value_inbox_(values_, pipeline.previous_stage(rank_), "stage values",
                     micro_batches_of(steps, PipelineAction::receive_value)),
        gradient_inbox_(gradients_, pipeline.next_stage(rank_), "stage gradients",
                        micro_batches_of(steps, PipelineAction::receive_gradient)),
        forwards_left_(
            static_cast<int64_t>(micro_batches_of(steps, PipelineAction::forward).size())) {}

  PipelineTimes all() {
    const auto begin = Clock::now();
    {
      PhaseScope scope(clock_, Phase::comm);
      for (const PipelineStep& step : steps_) one(step);
    }
    times_.all = std::chrono::duration<double>(Clock::now() - begin).count();
    outbox_.finish();
    return times_;
  }

 private:
  // A micro-batch in a chunk, between its forward and its last gradient.
  struct InFlight {
    Tensor input;           // received
    Tensor input_gradient;  // to be sent
    Tensor value;           // on the tape
    Tensor seed;            // received
    WeightWork weights;
  };

  void one(const PipelineStep& step) {
    PositionScope position(values_.world().position());
    position->micro_batch = static_cast<int32_t>(step.micro_batch);
    position->pass = pass_of(step.action);
    InFlight& at = in_flight_[{step.chunk, step.micro_batch}];
    switch (step.action) {
      case PipelineAction::receive_value:
        at.input = value_inbox_.take(shape_, type_, device_);
        break;
      case PipelineAction::receive_gradient:
        at.seed = gradient_inbox_.take(shape_, type_, device_);
        break;
      case PipelineAction::send_value:
        outbox_.send(at.value.detach(), values_, pipeline_.next_stage(rank_), "stage values");
        break;
      case PipelineAction::send_gradient:
        outbox_.send(at.input_gradient, gradients_, pipeline_.previous_stage(rank_),
                     "stage gradients");
        at.input_gradient = Tensor();
        break;
      case PipelineAction::forward:
        timed(times_.forward, Phase::forward, [&] { forward(step, at); });
        if (--forwards_left_ == 0) stage_.forwards_done(backward_begun_);
        break;
      case PipelineAction::backward:
        timed(times_.input_gradient, Phase::backward, [&] { backward_through(at, Weights::now); });
        break;
      case PipelineAction::input_gradient:
        timed(times_.input_gradient, Phase::backward,
              [&] { backward_through(at, Weights::defer); });
        break;
      case PipelineAction::weight_gradient:
        timed(times_.weight_gradient, Phase::backward, [&] {
          NoGrad no_grad;
          at.weights.run();
        });
        break;
    }
    const bool over = step.action == PipelineAction::weight_gradient ||
                      step.action == PipelineAction::send_gradient ||
                      step.action == PipelineAction::backward;
    if (over && !at.value.defined() && !at.input_gradient.defined() && at.weights.empty()) {
      in_flight_.erase({step.chunk, step.micro_batch});
    }
  }

  template <typename F>
  void timed(double& seconds, Phase phase, F&& work) {
    PhaseScope scope(clock_, phase);
    const auto begin = Clock::now();
    work();
    seconds += std::chrono::duration<double>(Clock::now() - begin).count();
  }

  void forward(const PipelineStep& step, InFlight& at) {
    Tensor x;
    if (at.input.defined()) {
      x = leaf(at.input, [&at](Tensor gradient) { at.input_gradient = std::move(gradient); });
      at.input = Tensor();
    }
    at.value = stage_.forward(step.chunk, step.micro_batch, x);
    const bool last = pipeline_.is_last(pipeline_.virtual_stage(rank_, step.chunk));
    require(last || (at.value.shape() == shape_ && at.value.dtype() == type_),
            "a stage gave {} where {} was announced", at.value.shape().text(), shape_.text());
  }

  void backward_through(InFlight& at, Weights weights) {
    backward_begun_ = true;
    at.weights = backward(std::span<const Tensor>(&at.value, 1),
                          std::span<const Tensor>(&at.seed, 1), weights);
    at.value = Tensor();
    at.seed = Tensor();
  }

  const Pipeline& pipeline_;
  const std::vector<PipelineStep>& steps_;
  PipelineStage& stage_;
  const Shape& shape_;
  DType type_;
  const std::shared_ptr<Device>& device_;
  PhaseClock* clock_;
  int rank_;
  Communicator& values_;
  Communicator& gradients_;
  Inbox value_inbox_;
  Inbox gradient_inbox_;
  Outbox outbox_;
  int64_t forwards_left_;
  bool backward_begun_ = false;
  // Nodes of a map do not move: leaves of the tape refer to them.
  std::map<std::pair<int, int64_t>, InFlight> in_flight_;
  PipelineTimes times_;
};

}  // namespace

PipelineRunner::PipelineRunner(const Pipeline& pipeline, const Mesh& mesh,
                               const std::shared_ptr<Device>& device)
    : pipeline_(pipeline),
      mesh_(mesh),
      device_(device),
      steps_(pipeline_steps(pipeline, mesh.coordinate(Axis::pp))) {}

PipelineTimes PipelineRunner::run(PipelineStage& stage, const Shape& value, DType type,
                                  PhaseClock* clock) {
  return Run(pipeline_, steps_, mesh_, stage, value, type, device_, clock).all();
}

}  // namespace troupe
