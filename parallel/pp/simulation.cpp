#include "parallel/pp/simulation.h"

#include <algorithm>
#include <deque>
#include <numeric>

#include "core/base/error.h"

namespace troupe {
namespace {

struct Message {
  int place;  // that receives it
  int64_t micro_batch;
  double sent;
};

struct Stage {
  std::vector<PipelineStep> steps;
  size_t at = 0;
  double now = 0;
  double busy = 0;
  int64_t in_flight = 0;
  int64_t most_in_flight = 0;
  std::deque<Message> values;     // on their way to this stage
  std::deque<Message> gradients;  // the same
};

class Simulation {
 public:
  Simulation(const Pipeline& pipeline, std::span<const ChunkTime> times)
      : pipeline_(pipeline), times_(times), stages_(static_cast<size_t>(pipeline.stages)) {
    for (int s = 0; s < pipeline.stages; ++s) stage(s).steps = pipeline_steps(pipeline, s);
  }

  SimulatedRun run() {
    bool moved = true;
    while (moved) {
      moved = false;
      for (int s = 0; s < pipeline_.stages; ++s) {
        while (stage(s).at < stage(s).steps.size() && advance(s)) moved = true;
      }
    }
    SimulatedRun out;
    for (int s = 0; s < pipeline_.stages; ++s) {
      require(stage(s).at == stage(s).steps.size(),
              "the schedule stands still: stage {} waits at step {} of {}", s, stage(s).at,
              stage(s).steps.size());
      require(stage(s).values.empty() && stage(s).gradients.empty(),
              "messages to stage {} are left over", s);
      out.seconds = std::max(out.seconds, stage(s).now);
      out.busy.push_back(stage(s).busy);
      out.in_flight.push_back(stage(s).most_in_flight);
    }
    return out;
  }

 private:
  Stage& stage(int s) { return stages_[static_cast<size_t>(s)]; }

  void work(Stage& on, double seconds, int64_t in_flight) {
    on.now += seconds;
    on.busy += seconds;
    on.in_flight += in_flight;
    on.most_in_flight = std::max(on.most_in_flight, on.in_flight);
  }

  bool receive(Stage& on, std::deque<Message>& from, int place, const PipelineStep& step) {
    if (from.empty()) return false;
    const Message message = from.front();
    require(message.place == place && message.micro_batch == step.micro_batch,
            "the message for place {} of micro-batch {} comes where place {} waits for {}",
            message.place, message.micro_batch, place, step.micro_batch);
    from.pop_front();
    on.now = std::max(on.now, message.sent);
    return true;
  }

  // False when the stage must wait.
  bool advance(int s) {
    Stage& on = stage(s);
    const PipelineStep& step = on.steps[on.at];
    const int place = pipeline_.virtual_stage(s, step.chunk);
    const ChunkTime& time = times_[static_cast<size_t>(place)];
    switch (step.action) {
      case PipelineAction::forward:
        work(on, time.forward, 1);
        break;
      case PipelineAction::backward:
        work(on, time.input_gradient + time.weight_gradient, -1);
        break;
      case PipelineAction::input_gradient:
        work(on, time.input_gradient, 0);
        break;
      case PipelineAction::weight_gradient:
        work(on, time.weight_gradient, -1);
        break;
      case PipelineAction::send_value:
        stage(pipeline_.next_stage(s)).values.push_back({place + 1, step.micro_batch, on.now});
        break;
      case PipelineAction::send_gradient:
        stage(pipeline_.previous_stage(s))
            .gradients.push_back({place - 1, step.micro_batch, on.now});
        break;
      case PipelineAction::receive_value:
        if (!receive(on, on.values, place, step)) return false;
        break;
      case PipelineAction::receive_gradient:
        if (!receive(on, on.gradients, place, step)) return false;
        break;
    }
    ++on.at;
    return true;
  }

  const Pipeline& pipeline_;
  std::span<const ChunkTime> times_;
  std::vector<Stage> stages_;
};

}  // namespace

double SimulatedRun::bubble() const {
  const double worked = std::accumulate(busy.begin(), busy.end(), 0.0);
  return 1.0 - worked / (seconds * static_cast<double>(busy.size()));
}

SimulatedRun simulate(const Pipeline& pipeline, std::span<const ChunkTime> times) {
  require(times.size() == static_cast<size_t>(pipeline.virtual_stage_count()),
          "{} times for {} chunks", times.size(), pipeline.virtual_stage_count());
  return Simulation(pipeline, times).run();
}

}  // namespace troupe
