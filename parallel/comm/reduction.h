// Sums over the ranks of a group: every rank adds its own piece in rank order, piece after piece in
// segments; for all_reduce it then sends the sums to the others.
#pragma once

#include <deque>

#include "parallel/comm/operation.h"

namespace troupe {

// Short sums in one hop: every rank sends everything to every other and adds it itself.
class DirectSum final : public Operation {
 public:
  DirectSum(std::shared_ptr<GroupState> group, const OperationKind& kind, View data);

 private:
  bool advance() override;
  std::vector<int> pending() const override { return exchange_.pending(); }
  View data_;
  Tensor scratch_;
  Exchange exchange_;
};

class PiecewiseSum final : public Operation {
 public:
  // begins[r] .. begins[r + 1]: the elements of `in` that rank r sums, written to out. With
  // `gather`, in and out are the same memory and all pieces are filled in at the end.
  PiecewiseSum(std::shared_ptr<GroupState> group, const OperationKind& kind, View in,
               std::vector<int64_t> begins, void* out, bool gather);

 private:
  // A segment of every rank's piece.
  struct Slot {
    int64_t segment;
    Tensor scratch;
    Exchange exchange;
    bool gathering = false;
  };
  bool advance() override;
  std::vector<int> pending() const override;
  // Starts segments as far as there is room for them, in order.
  void fill();
  void start(int64_t segment);
  void add(Slot& slot);
  void start_gather(Slot& slot);
  int64_t begin(int piece, int64_t segment) const;  // in elements of `in`
  int64_t count(int piece, int64_t segment) const;
  char* at(int64_t element) const;

  View in_;
  std::vector<int64_t> begins_;
  char* out_;
  bool gather_;
  int64_t element_bytes_;
  int64_t segment_elements_;
  int64_t segments_ = 0;
  int64_t next_ = 0;
  std::deque<Slot> slots_;
};

}  // namespace troupe
