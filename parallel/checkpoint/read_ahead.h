// The pieces of a checkpoint's tensors, read on a thread of its own while the pieces before are
// used: the disk works while digests are computed and tensors filled.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "parallel/checkpoint/stored.h"
#include "parallel/comm/agreement.h"

namespace troupe::checkpoint {

class ReadAhead {
 public:
  struct Piece {
    const TensorInfo* tensor;
    Box box;
    std::byte* into;  // where its elements shall stand; null: in a buffer, until the next call
  };
  // Begins to read. `stored` and what the pieces point to must outlive this.
  ReadAhead(const Stored& stored, std::vector<Piece> pieces);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // The elements of the next piece. A failure to read it is put into `failure` unless that holds
  // one; the elements then are of no meaning.
  std::byte* next(std::optional<Failure>& failure);

 private:
  void read_all();
  void read(size_t piece);

  const Stored& stored_;
  std::vector<Piece> pieces_;
  std::vector<size_t> buffered_;  // by piece: how many before it need a buffer
  // A piece in one is used while the next ones are read into the others.
  std::array<std::vector<std::byte>, 3> buffers_;
  std::vector<std::optional<Failure>> failures_;  // by piece

  std::mutex mutex_;
  std::condition_variable changed_;
  size_t read_ = 0;   // pieces that were read
  size_t taken_ = 0;  // pieces that next() gave
  bool given_up_ = false;
  std::thread reader_;
};

}  // namespace troupe::checkpoint
