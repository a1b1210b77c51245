// What all groups of one rank share: its deadline, its checks, its memory, what it has sent, where
// in a step it is, and that it has failed.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/base/step_position.h"
#include "core/device/device.h"

namespace troupe {

// What one rank has sent to another one, in all groups: messages as the transport carries them, and
// their bytes.
struct Sent {
  int64_t messages = 0;
  int64_t bytes = 0;
};

class World {
 public:
  virtual ~World() = default;
  // Lets the running operations of this rank advance, in all groups. Every wait does so too, so
  // ranks may wait for their works in any order.
  virtual void progress() = 0;
  // The deadline of every wait.
  virtual void set_timeout(std::chrono::milliseconds timeout) = 0;
  virtual std::chrono::milliseconds timeout() const = 0;
  // Before each operation of any group its ranks compare what they are about to do; the first
  // difference throws Error(distributed). Set alike on all ranks, between operations.
  virtual void set_check_collectives(bool check) = 0;
  // Where this rank is in its step.
  virtual StepPosition& position() = 0;
  // The device whose memory the operations of this rank move. Where the host can read it, it also
  // provides the scratch memory of all groups, and counts it as communication.
  virtual void set_device(const std::shared_ptr<Device>& device) = 0;
  // This rank has failed: waits of its peers, in every group, throw Error(code).
  virtual void poison(const std::string& cause, ExitCode code = ExitCode::distributed) = 0;
  // By rank of the world.
  virtual const std::vector<Sent>& sent() const = 0;
};

}  // namespace troupe
