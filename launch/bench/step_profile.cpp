#include "launch/bench/step_profile.h"

#include <algorithm>
#include <map>

#include "core/base/step_position.h"
#include "launch/bench/drawn_steps.h"
#include "launch/bench/made_up_routing.h"
#include "launch/bench/trace_events.h"

namespace troupe {
namespace {

double milliseconds(TraceTime begin, TraceTime end) {
  return std::chrono::duration<double, std::milli>(end - begin).count();
}

TracePlace trace_place(const StepPosition& place) {
  const auto pass = [&] {
    switch (place.pass) {
      case Pass::forward:
        return "forward";
      case Pass::backward:
        return "backward";
      case Pass::weight_gradient:
        return "weight gradient";
      default:
        return "";
    }
  };
  return {place.layer, place.micro_batch, pass()};
}

// The stream and the phase clock of a rank tell the trace what they do, to the end of the scope.
class Tracing {
 public:
  Tracing(Trace& trace, Device& device, PhaseClock& clock) : device_(device), clock_(clock) {
    device_.stream().trace = &trace;
    clock_.set_trace(&trace);
  }
  ~Tracing() {
    device_.stream().trace = nullptr;
    clock_.set_trace(nullptr);
  }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

 private:
  Device& device_;
  PhaseClock& clock_;
};

// The events of all ranks on the leader; empty on the others.
std::string gather_events(std::string own, Communicator& world) {
  const std::string site = "trace events";
  const auto bytes = [](std::string& text) {
    const auto count = static_cast<int64_t>(text.size());
    return View{text.data(), DType::u8, {count}, {1}, DeviceKind::cpu};
  };
  if (world.rank() != 0) {
    auto count = static_cast<int64_t>(own.size());
    world.send({&count, DType::i64, {1}, {1}, DeviceKind::cpu}, 0, site).finish();
    world.send(bytes(own), 0, site).finish();
    return {};
  }
  for (int rank = 1; rank < world.size(); ++rank) {
    int64_t count = 0;
    world.receive({&count, DType::i64, {1}, {1}, DeviceKind::cpu}, rank, site).finish();
    std::string more(static_cast<size_t>(count), ' ');
    world.receive(bytes(more), rank, site).finish();
    own += ",\n" + more;
  }
  return own;
}

}  // namespace

std::vector<OperatorCost> operator_costs(const Trace& trace) {
  const std::vector<OperatorSpan>& spans = trace.operators();
  std::vector<double> own(spans.size());
  std::vector<size_t> open;
  for (size_t i = 0; i < spans.size(); ++i) {
    open.resize(static_cast<size_t>(spans[i].depth));
    own[i] = milliseconds(spans[i].begin, spans[i].end);
    if (!open.empty()) own[open.back()] -= own[i];
    open.push_back(i);
  }
  std::vector<double> worked(spans.size());
  for (const std::vector<ThreadSpan>& thread : trace.threads()) {
    for (const ThreadSpan& span : thread) {
      if (span.op != SIZE_MAX) worked[span.op] += milliseconds(span.begin, span.end);
    }
  }
  std::map<std::string, OperatorCost> costs;
  for (size_t i = 0; i < spans.size(); ++i) {
    const std::string name = std::string(spans[i].name) + suffix(spans[i].part);
    OperatorCost& cost = costs[name];
    cost.name = name;
    cost.calls += 1;
    cost.ms += own[i];
    cost.busy += worked[i];
  }
  std::vector<OperatorCost> out;
  const auto steps = static_cast<double>(std::max<size_t>(trace.steps().size(), 1));
  for (auto& [name, cost] : costs) {
    const double team = cost.ms * static_cast<double>(trace.threads().size());
    cost.busy = team > 0 ? std::min(cost.busy / team, 1.0) : 0;
    cost.calls /= steps;
    cost.ms /= steps;
    out.push_back(cost);
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const OperatorCost& a, const OperatorCost& b) { return a.ms > b.ms; });
  return out;
}

StepProfile profile_steps(const RunConfig& config, const std::shared_ptr<Communicator>& world,
                          const std::shared_ptr<Device>& device, int64_t warmup, int64_t steps) {
  DrawnSteps run(config, world, device, warmup + steps);
  const auto routing = made_up_routing(config, config.bench.routing, run.engine());
  for (int64_t step = 0; step < warmup; ++step) run.take(routing);
  Trace trace(device->stream().threads,
              [&world] { return trace_place(world->world().position()); });
  world->barrier("trace begins").finish();
  const TraceTime zero = std::chrono::steady_clock::now();
  StepProfile out;
  {
    const Tracing tracing(trace, *device, run.engine().clock());
    for (int64_t step = 0; step < steps; ++step) {
      const DrawnSteps::Timed timed = run.take(routing);
      trace.add_step(timed.begin, timed.begin + timed.spent);
      out.step_ms += milliseconds(timed.begin, timed.begin + timed.spent);
    }
  }
  out.steps = steps;
  out.step_ms /= static_cast<double>(steps);
  out.operators = operator_costs(trace);
  const std::string events = gather_events(trace_events(trace, world->rank(), zero), *world);
  if (world->rank() == 0) out.trace = trace_document(events);
  return out;
}

}  // namespace troupe
