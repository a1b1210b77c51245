#include "parallel/checkpoint/read_ahead.h"

#include "core/base/error.h"
#include "parallel/checkpoint/boxes.h"

namespace troupe::checkpoint {

ReadAhead::ReadAhead(const Stored& stored, std::vector<Piece> pieces)
    : stored_(stored), pieces_(std::move(pieces)) {
  if (!pieces_.empty()) begin(0);
}

ReadAhead::~ReadAhead() {
  if (reading_.valid()) reading_.wait();
}

void ReadAhead::begin(size_t piece) {
  std::vector<std::byte>& buffer = buffers_[piece % 2];
  const Piece& what = pieces_[piece];
  const size_t bytes = static_cast<size_t>(volume(what.box)) * size_of(what.tensor->dtype);
  if (buffer.size() < bytes) buffer.resize(bytes);
  // Without a thread to be had it is read when it is waited for.
  reading_ = std::async(std::launch::async | std::launch::deferred, [this, &what, &buffer] {
    return attempt([&] { stored_.read(*what.tensor, what.box, buffer.data()); });
  });
}

std::byte* ReadAhead::next(std::optional<Failure>& failure) {
  require(taken_ < pieces_.size(), "a checkpoint of {} pieces has no more", pieces_.size());
  std::optional<Failure> found = reading_.get();
  if (!failure) failure = std::move(found);
  const size_t piece = taken_++;
  if (taken_ < pieces_.size()) begin(taken_);
  return buffers_[piece % 2].data();
}

}  // namespace troupe::checkpoint
