// Where the time of a step goes: exclusive time by phase. One clock per rank, handed down.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

namespace troupe {

class Trace;

enum class Phase : uint8_t { forward, backward, dispatch, comm, optimizer, data, other };
constexpr int kPhases = 7;
const char* name(Phase phase);

class PhaseClock {
 public:
  PhaseClock() : last_(std::chrono::steady_clock::now()) {}
  // Milliseconds by phase since the last reset.
  std::array<double, kPhases> milliseconds() const;
  void reset();
  // Starts charging to `phase`, returns the phase charged before.
  Phase enter(Phase phase);
  // From now on the phases are told to `trace`, too; null: to nobody.
  void set_trace(Trace* trace);

 private:
  std::array<std::chrono::steady_clock::duration, kPhases> spent_{};
  Phase current_ = Phase::other;
  std::chrono::steady_clock::time_point last_;
  Trace* trace_ = nullptr;
};

// Charges the time of a scope to a phase; nested scopes take their own time out. A null clock does
// nothing.
class PhaseScope {
 public:
  PhaseScope(PhaseClock* clock, Phase phase) : clock_(clock) {
    if (clock_ != nullptr) before_ = clock_->enter(phase);
  }
  ~PhaseScope() {
    if (clock_ != nullptr) clock_->enter(before_);
  }
  PhaseScope(const PhaseScope&) = delete;
  PhaseScope& operator=(const PhaseScope&) = delete;

 private:
  PhaseClock* clock_;
  Phase before_ = Phase::other;
};

}  // namespace troupe
