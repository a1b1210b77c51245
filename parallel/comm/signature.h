// The comparison of an operation with those of the other ranks, before its data travel
// (`runtime.check_collectives`).
#pragma once

#include <array>
#include <vector>

#include "parallel/comm/operation.h"

namespace troupe {

// What a rank tells another one about the operation that it begins.
struct Signature {
  int64_t bytes = 0;     // of data; of a row for all_to_all
  int64_t to_you = 0;    // all_to_all only
  int64_t from_you = 0;  // all_to_all only
  uint64_t site_hash = 0;
  int32_t root = -1;  // of a broadcast
  OperationNote note;
};

// Empty when the two ranks do the same; else what each of them does.
std::string difference(const Signature& mine, int my_rank, const Signature& theirs, int their_rank);

class Difference : public Error {
 public:
  using Error::Error;
};

class SignatureCheck {
 public:
  SignatureCheck(const GroupState& group, const OperationKind& kind, const OperationNote& note,
                 uint32_t sequence);
  // Goes on; throws Difference at the first difference.
  void advance();
  bool passed() const { return passed_; }
  // Group ranks that have not said yet what they do.
  std::vector<int> pending() const;

 private:
  struct Peer {
    int rank;
    Signature mine;
    Signature theirs;
    Exchange exchange;
    bool hears = true;  // of a send and its receive only the receiver hears
    bool compared = false;
  };
  const GroupState* group_;
  std::vector<Peer> peers_;
  bool passed_ = false;
};

}  // namespace troupe
