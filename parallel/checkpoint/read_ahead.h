// The pieces of a checkpoint's tensors, read on a thread of its own while the piece before is used:
// the disk works while digests are computed and tensors filled.
#pragma once

#include <array>
#include <cstddef>
#include <future>
#include <optional>
#include <vector>

#include "parallel/checkpoint/agreement.h"
#include "parallel/checkpoint/stored.h"

namespace troupe::checkpoint {

class ReadAhead {
 public:
  struct Piece {
    const TensorInfo* tensor;
    Box box;
  };
  // Begins to read the first piece. `stored` and what the pieces point to must outlive this.
  ReadAhead(const Stored& stored, std::vector<Piece> pieces);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // The elements of the next piece, until the next call. A failure to read it is put into `failure`
  // unless that holds one; the elements then are of no meaning.
  std::byte* next(std::optional<Failure>& failure);

 private:
  void begin(size_t piece);

  const Stored& stored_;
  std::vector<Piece> pieces_;
  size_t taken_ = 0;
  std::array<std::vector<std::byte>, 2> buffers_;  // of even and of odd pieces
  std::future<std::optional<Failure>> reading_;
};

}  // namespace troupe::checkpoint
