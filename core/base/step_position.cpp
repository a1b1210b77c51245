#include "core/base/step_position.h"

#include <array>

namespace troupe {

std::string StepPosition::text() const {
  constexpr std::array<const char*, 5> kPasses = {"", ", forward", ", backward",
                                                  ", weight gradients", ", evaluation"};
  std::string out;
  if (layer >= 0) out += ", layer " + std::to_string(layer);
  if (micro_batch >= 0) out += ", micro-batch " + std::to_string(micro_batch);
  return out + kPasses[static_cast<size_t>(pass)];
}

}  // namespace troupe
