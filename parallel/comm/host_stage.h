// Transports move host memory. An operation on memory that the host cannot reach runs on a copy of
// it, which is written back when the operation is complete; the device counts both ways.
#pragma once

#include <memory>

#include "parallel/comm/communicator.h"

namespace troupe {

// Host memory in place of a view of a device's memory.
class HostStage {
 public:
  // read: copies what is there.
  HostStage(std::shared_ptr<Device> device, const View& there, bool read);
  View view();
  void write_back();

 private:
  std::shared_ptr<Device> device_;
  View there_;
  size_t bytes_;
  std::unique_ptr<std::byte[]> memory_;
};

// An operation that runs on stages. `out` may be null: nothing is written back.
Work staged(Work running, std::unique_ptr<HostStage> in, std::unique_ptr<HostStage> out);

}  // namespace troupe
