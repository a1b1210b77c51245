// Where in a step a rank is. Every operation that it starts there says so in messages.
#pragma once

#include <cstdint>
#include <string>

namespace troupe {

enum class Pass : int32_t { none, forward, backward, weight_gradient, evaluation };

struct WorkPlace {
  int32_t layer = -1;        // -1: outside of the layers
  int32_t micro_batch = -1;  // of the step, or of the evaluation
  Pass pass = Pass::none;

  // ", layer 3, micro-batch 2, backward", without what is not known.
  std::string text() const;
};

// The place of this rank from here to the end of the scope:
//   PlaceScope at(mesh.world().place());
//   at->layer = 3;
class PlaceScope {
 public:
  explicit PlaceScope(WorkPlace& place) : place_(place), before_(place) {}
  ~PlaceScope() { place_ = before_; }
  PlaceScope(const PlaceScope&) = delete;
  PlaceScope& operator=(const PlaceScope&) = delete;
  WorkPlace* operator->() { return &place_; }

 private:
  WorkPlace& place_;
  WorkPlace before_;
};

}  // namespace troupe
