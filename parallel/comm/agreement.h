// One outcome for all ranks: a failure on one rank becomes the same Error on each.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "parallel/comm/communicator.h"

namespace troupe {

struct Failure {
  ExitCode code = ExitCode::internal;
  std::string message;
};

// A failure that every rank knows. Rank 0 speaks for all of them.
class AgreedError : public Error {
 public:
  AgreedError(ExitCode code, const std::string& message, bool speaks)
      : Error(code, message), speaks_(speaks) {}
  // On rank 0 of the group that agreed.
  bool speaks() const { return speaks_; }

 private:
  bool speaks_;
};

// Runs local work (no communication in it) and returns its failure instead of throwing.
std::optional<Failure> attempt(const std::function<void()>& work);

// Collective. Returns when no rank failed; else throws the failure of the lowest failing rank, the
// same on every rank, as AgreedError.
void agree(const std::optional<Failure>& mine, Communicator& world, const std::string& site);

// Collective. The text of rank 0 (or `root`) on every rank.
std::string broadcast_text(const std::string& text, int root, Communicator& world,
                           const std::string& site);

// Collective. Every rank's text, in rank order, on every rank.
std::vector<std::string> gather_texts(const std::string& mine, Communicator& world,
                                      const std::string& site);

// A contiguous view of bytes, for communication.
View bytes_view(void* data, int64_t bytes);

}  // namespace troupe
