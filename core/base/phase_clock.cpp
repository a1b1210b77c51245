#include "core/base/phase_clock.h"

#include "core/base/trace.h"

namespace troupe {

const char* name(Phase phase) {
  constexpr std::array<const char*, kPhases> names = {"forward",   "backward", "dispatch", "comm",
                                                      "optimizer", "data",     "other"};
  return names[static_cast<size_t>(phase)];
}

std::array<double, kPhases> PhaseClock::milliseconds() const {
  std::array<double, kPhases> out{};
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = std::chrono::duration<double, std::milli>(spent_[i]).count();
  }
  return out;
}

void PhaseClock::reset() {
  spent_.fill({});
  last_ = std::chrono::steady_clock::now();
}

Phase PhaseClock::enter(Phase phase) {
  const auto now = std::chrono::steady_clock::now();
  spent_[static_cast<size_t>(current_)] += now - last_;
  if (trace_ != nullptr) trace_->add_phase(name(current_), last_, now);
  last_ = now;
  const Phase before = current_;
  current_ = phase;
  return before;
}

void PhaseClock::set_trace(Trace* trace) {
  enter(current_);  // what was before belongs to nobody, or to the trace before
  trace_ = trace;
}

}  // namespace troupe
