// Messages between two ranks of one world: the only thing that the backends do differently.
// Everything above (groups, collectives, sums, deadlines, counters) is shared, so that all backends
// give the same bits.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string>

#include "core/base/error.h"

namespace troupe {

class StatusBoard;

// The two halves of a message have different lengths. World ranks; bytes.
class SizeMismatch : public std::exception {
 public:
  SizeMismatch(int from, int64_t sent, int to, int64_t expected)
      : text_(fmt::format("rank {} sends {} bytes where rank {} expects {}", from,
                          sent < 0 ? "more" : std::to_string(sent), to, expected)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

// One message on its way. Destroying one that is not done takes it back: its memory is not touched
// afterwards.
class Transfer {
 public:
  virtual ~Transfer() = default;
  // Throws SizeMismatch; the sender need not be told.
  virtual bool done() = 0;
};

// Messages with equal (sender, receiver, tag) arrive in the order in which they were started.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Tags are in [0, 2^31).
  virtual std::unique_ptr<Transfer> start_send(int to, const void* data, int64_t bytes,
                                               int tag) = 0;
  virtual std::unique_ptr<Transfer> start_receive(int from, void* data, int64_t bytes, int tag) = 0;
  // Throws "rank N failed: cause" with the given code if some rank has failed.
  virtual void check() = 0;
  virtual void poison(const std::string& cause, ExitCode code) = 0;
  // Null in a world of one rank.
  virtual StatusBoard* board() = 0;
  // False where ranks outnumber cores: a waiting rank gives its core away at once.
  virtual bool may_spin() const = 0;
};

}  // namespace troupe
