#include "core/base/trace.h"

#include <utility>

namespace troupe {

const char* suffix(TracePart part) {
  switch (part) {
    case TracePart::forward:
      return "";
    case TracePart::backward:
      return " backward";
    case TracePart::weight_gradient:
      return " weight gradient";
  }
  return "";
}

Trace::Trace(int threads, std::function<TracePlace()> place)
    : place_(std::move(place)), threads_(static_cast<size_t>(threads)) {}

void Trace::begin_operator(const char* name, TracePart part) {
  OperatorSpan span;
  span.name = name;
  span.part = part;
  span.depth = static_cast<int>(open_.size());
  if (place_) span.place = place_();
  span.begin = span.end = std::chrono::steady_clock::now();
  open_.push_back(operators_.size());
  operators_.push_back(span);
}

void Trace::end_operator() {
  operators_[open_.back()].end = std::chrono::steady_clock::now();
  open_.pop_back();
}

void Trace::add_phase(const char* name, TraceTime begin, TraceTime end) {
  if (end > begin) phases_.push_back({name, begin, end});
}

size_t Trace::begin_message(std::string name, std::string kind, std::string group, int64_t bytes) {
  const TraceTime now = std::chrono::steady_clock::now();
  messages_.push_back({std::move(name), std::move(kind), std::move(group), bytes, now, now});
  return messages_.size() - 1;
}

void Trace::end_message(size_t message) {
  messages_[message].end = std::chrono::steady_clock::now();
}

void Trace::add_thread(int thread, const ThreadSpan& span) {
  threads_[static_cast<size_t>(thread)].push_back(span);
}

}  // namespace troupe
