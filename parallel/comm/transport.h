// Messages between two ranks of one world: the only thing that the backends do differently.
// Everything above (groups, collectives, sums, deadlines, counters) is shared, so that all backends
// give the same bits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/base/error.h"

namespace troupe {

// One message on its way. Destroying one that is not done takes it back: its memory is not touched
// afterwards.
class Transfer {
 public:
  virtual ~Transfer() = default;
  virtual bool done() = 0;
};

// Messages with equal (sender, receiver, tag) arrive in the order in which they were started.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Tags are in [0, 2^31). The sizes of a message and of its receive must agree.
  virtual std::unique_ptr<Transfer> start_send(int to, const void* data, int64_t bytes,
                                               int tag) = 0;
  virtual std::unique_ptr<Transfer> start_receive(int from, void* data, int64_t bytes, int tag) = 0;
  // Throws "rank N failed: cause" with the given code if some rank has failed.
  virtual void check() = 0;
  virtual void poison(const std::string& cause, ExitCode code) = 0;
  // False where ranks outnumber cores: a waiting rank gives its core away at once.
  virtual bool may_spin() const = 0;
};

// Cores that this process may run on.
int process_cores();

}  // namespace troupe
