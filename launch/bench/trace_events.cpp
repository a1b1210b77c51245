#include "launch/bench/trace_events.h"

#include <fmt/core.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;

// Ours are known by it.
constexpr std::string_view kBeginning =
    R"({"otherData": {"made_by": "troupe bench step --profile"},)";

// Track numbers. Those of threads follow.
enum Track : int { steps, phases, layers, operators, messages, first_thread };

class Events {
 public:
  Events(int rank, TraceTime zero) : rank_(rank), zero_(zero) {
    name_of("process_name", 0, fmt::format("rank {}", rank));
  }

  void track(int track, const std::string& name) {
    name_of("thread_name", track, name);
    Json event = base("M", "thread_sort_index", track);
    event["args"] = {{"sort_index", track}};
    add(event);
  }
  void span(int track, const std::string& name, const char* category, TraceTime begin,
            TraceTime end, Json args = Json::object()) {
    Json event = base("X", name, track);
    event["cat"] = category;
    event["ts"] = microseconds(begin - zero_);
    event["dur"] = microseconds(end - begin);
    if (!args.empty()) event["args"] = std::move(args);
    add(event);
  }
  // Messages overlap each other, so they are asynchronous events with a number.
  void message(const MessageSpan& span, size_t number) {
    for (const bool begins : {true, false}) {
      Json event = base(begins ? "b" : "e", span.name, Track::messages);
      event["cat"] = "message";
      event["id"] = fmt::format("{}.{}", rank_, number);
      event["ts"] = microseconds((begins ? span.begin : span.end) - zero_);
      if (begins) {
        event["args"] = {{"kind", span.kind}, {"group", span.group}, {"bytes", span.bytes}};
      }
      add(event);
    }
  }
  std::string take() { return std::move(text_); }

 private:
  static double microseconds(std::chrono::steady_clock::duration time) {
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
    return static_cast<double>(ns) / 1e3;
  }
  Json base(const char* kind, const std::string& name, int track) const {
    return {{"name", name}, {"ph", kind}, {"pid", rank_}, {"tid", track}};
  }
  void name_of(const char* what, int track, const std::string& name) {
    Json event = base("M", what, track);
    event["args"] = {{"name", name}};
    add(event);
  }
  void add(const Json& event) {
    if (!text_.empty()) text_ += ",\n";
    text_ += event.dump();
  }

  int rank_;
  TraceTime zero_;
  std::string text_;
};

bool same_place(const TracePlace& a, const TracePlace& b) {
  return a.layer == b.layer && a.micro_batch == b.micro_batch && std::strcmp(a.pass, b.pass) == 0;
}

// A layer lasts from the first to the last of the operators that ran there in a row.
void add_layers(const std::vector<OperatorSpan>& operators, Events& events) {
  const OperatorSpan* first = nullptr;
  const OperatorSpan* last = nullptr;
  const auto close = [&] {
    if (first == nullptr || first->place.layer < 0) return;
    events.span(Track::layers, fmt::format("layer {} {}", first->place.layer, first->place.pass),
                "layer", first->begin, last->end, {{"micro_batch", first->place.micro_batch}});
  };
  for (const OperatorSpan& span : operators) {
    if (span.depth > 0) continue;
    if (first == nullptr || !same_place(first->place, span.place)) {
      close();
      first = &span;
    }
    last = &span;
  }
  close();
}

Json place_of(const OperatorSpan& span) {
  Json args = Json::object();
  if (span.place.layer >= 0) args["layer"] = span.place.layer;
  if (span.place.micro_batch >= 0) args["micro_batch"] = span.place.micro_batch;
  return args;
}

std::string full_name(const OperatorSpan& span) {
  return std::string(span.name) + suffix(span.part);
}

}  // namespace

std::string trace_events(const Trace& trace, int rank, TraceTime zero) {
  Events events(rank, zero);
  const char* names[] = {"steps", "phases", "layers", "operators", "messages"};
  for (int track = Track::steps; track < Track::first_thread; ++track)
    events.track(track, names[track]);
  for (const PhaseSpan& span : trace.steps()) {
    events.span(Track::steps, span.name, "step", span.begin, span.end);
  }
  for (const PhaseSpan& span : trace.phases()) {
    events.span(Track::phases, span.name, "phase", span.begin, span.end);
  }
  add_layers(trace.operators(), events);
  for (const OperatorSpan& span : trace.operators()) {
    events.span(Track::operators, full_name(span), "operator", span.begin, span.end,
                place_of(span));
  }
  for (size_t i = 0; i < trace.messages().size(); ++i) events.message(trace.messages()[i], i);
  for (size_t thread = 0; thread < trace.threads().size(); ++thread) {
    const int track = Track::first_thread + static_cast<int>(thread);
    events.track(track, fmt::format("thread {}", thread));
    for (const ThreadSpan& span : trace.threads()[thread]) {
      const std::string name = span.op == SIZE_MAX ? "loop" : full_name(trace.operators()[span.op]);
      events.span(track, name, "thread", span.begin, span.end, {{"pieces", span.pieces}});
    }
  }
  return events.take();
}

bool is_trace(std::string_view beginning) { return beginning.starts_with(kBeginning); }

std::string trace_document(const std::string& events) {
  return std::string(kBeginning) + "\n\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n" + events +
         "\n]}\n";
}

}  // namespace troupe
