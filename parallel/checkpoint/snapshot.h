// A copy in memory of what one rank writes, so that training may change the state while the copy is
// written.
#pragma once

#include <memory>
#include <vector>

#include "core/tensor/tensor.h"
#include "parallel/checkpoint/own_shares.h"

namespace troupe::checkpoint {

class Snapshot {
 public:
  // The memory is counted on `device` (kind checkpoint) and kept for the next copy.
  explicit Snapshot(std::shared_ptr<Device> device) : device_(std::move(device)) {}
  // Copies the shares with the device's threads; those returned stand in the copy, packed.
  // Error(resource) when there is no memory for it.
  std::vector<OwnShare> take(const CoveragePlan& plan, const std::vector<OwnShare>& shares);

 private:
  std::shared_ptr<Device> device_;
  Tensor buffer_;
};

}  // namespace troupe::checkpoint
