// Where in a step a rank is. Every operation that it starts there says so in messages.
#pragma once

#include <cstdint>
#include <string>

namespace troupe {

enum class Pass : int32_t { none, forward, backward, weight_gradient, evaluation };

struct StepPosition {
  int32_t layer = -1;        // -1: outside of the layers
  int32_t micro_batch = -1;  // of the step, or of the evaluation
  Pass pass = Pass::none;

  // ", layer 3, micro-batch 2, backward", without what is not known.
  std::string text() const;
};

// The position of this rank from here to the end of the scope:
//   PositionScope at(world.position());
//   at->layer = 3;
class PositionScope {
 public:
  explicit PositionScope(StepPosition& position) : position_(position), before_(position) {}
  ~PositionScope() { position_ = before_; }
  PositionScope(const PositionScope&) = delete;
  PositionScope& operator=(const PositionScope&) = delete;
  StepPosition* operator->() { return &position_; }

 private:
  StepPosition& position_;
  StepPosition before_;
};

}  // namespace troupe
