#include "models/convert/hf_families/table.h"

#include <algorithm>

namespace troupe {

const std::deque<HfFamily>& hf_families() {
  static const std::deque<HfFamily> all = hf_families_of_this_build();
  return all;
}

const HfFamily* find_hf_family(const std::string& model_type) {
  const auto found = std::find_if(hf_families().begin(), hf_families().end(),
                                  [&](const HfFamily& f) { return f.model_type == model_type; });
  return found == hf_families().end() ? nullptr : &*found;
}

}  // namespace troupe
