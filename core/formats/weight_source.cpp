#include "core/formats/weight_source.h"

#include <algorithm>

namespace troupe {

const SavedTensor* WeightSource::find(const std::string& name) const {
  const auto found =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const SavedTensor& a, const std::string& b) { return a.name < b; });
  return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

}  // namespace troupe
