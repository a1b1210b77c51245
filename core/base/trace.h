// What a rank did when, for `bench step --profile`: spans of operators, of the threads of its team,
// of phases and of messages. One recorder per rank, handed down with its stream (core/device/
// operator.h) and its phase clock; where there is none, a pointer is tested and that is all.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace troupe {

using TraceTime = std::chrono::steady_clock::time_point;

// What an operator computes.
enum class TracePart : uint8_t { forward, backward, weight_gradient };
const char* suffix(TracePart part);  // "", " backward", " weight gradient"

// Where in the step an operator ran; layer -1: outside of the layers.
struct TracePlace {
  int layer = -1;
  int micro_batch = -1;
  const char* pass = "";
};

struct OperatorSpan {
  const char* name = "";  // a literal
  TracePart part = TracePart::forward;
  TraceTime begin;
  TraceTime end;
  int depth = 0;  // 0: not inside of another one
  TracePlace place;
};
// A thread of the team at work on pieces of one parallel loop.
struct ThreadSpan {
  size_t op = SIZE_MAX;  // into Trace::operators(); SIZE_MAX: outside of operators
  int64_t pieces = 0;
  TraceTime begin;
  TraceTime end;
};
struct PhaseSpan {
  const char* name = "";
  TraceTime begin;
  TraceTime end;
};
// From the start of an operation on this rank to its end; several may run at once.
struct MessageSpan {
  std::string name;  // the site that asked for it
  std::string kind;  // "all_to_all", "send", ...
  std::string group;
  int64_t bytes = 0;
  TraceTime begin;
  TraceTime end;
};

class Trace {
 public:
  // threads: of the team. place: asked when an operator begins.
  explicit Trace(int threads, std::function<TracePlace()> place = {});

  // All but add_thread are called by the rank's own thread only.
  void begin_operator(const char* name, TracePart part);
  void end_operator();
  void add_phase(const char* name, TraceTime begin, TraceTime end);
  size_t begin_message(std::string name, std::string kind, std::string group, int64_t bytes);
  void end_message(size_t message);
  void add_step(TraceTime begin, TraceTime end) { steps_.push_back({"step", begin, end}); }
  // The operator that runs, for the threads' spans; SIZE_MAX outside.
  size_t running() const { return open_.empty() ? SIZE_MAX : open_.back(); }
  // By thread number `thread` of the team: its spans are its own, so nothing is locked.
  void add_thread(int thread, const ThreadSpan& span);

  // In the order of their begin.
  const std::vector<OperatorSpan>& operators() const { return operators_; }
  const std::vector<std::vector<ThreadSpan>>& threads() const { return threads_; }
  const std::vector<PhaseSpan>& phases() const { return phases_; }
  const std::vector<MessageSpan>& messages() const { return messages_; }
  const std::vector<PhaseSpan>& steps() const { return steps_; }

 private:
  std::function<TracePlace()> place_;
  std::vector<OperatorSpan> operators_;
  std::vector<size_t> open_;  // operators that run, the innermost last
  std::vector<std::vector<ThreadSpan>> threads_;
  std::vector<PhaseSpan> phases_;
  std::vector<MessageSpan> messages_;
  std::vector<PhaseSpan> steps_;
};

}  // namespace troupe
