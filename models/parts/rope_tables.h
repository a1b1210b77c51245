// The tables of rotary positions of one model: layers that turn alike share one.
#pragma once

#include <map>
#include <memory>
#include <tuple>

#include "core/ops/rope.h"

namespace troupe {

class RopeTables {
 public:
  std::shared_ptr<const RopeTable> table(int64_t positions, int64_t head_dim, double theta,
                                         DType compute, const std::shared_ptr<Device>& device) {
    std::shared_ptr<const RopeTable>& found = tables_[{positions, head_dim, theta}];
    if (!found) {
      found = std::make_shared<const RopeTable>(
          make_rope_table(positions, head_dim, theta, compute, device));
    }
    return found;
  }

 private:
  std::map<std::tuple<int64_t, int64_t, double>, std::shared_ptr<const RopeTable>> tables_;
};

}  // namespace troupe
