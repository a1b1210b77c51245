#include "parallel/checkpoint/read_ahead.h"

#include <system_error>

#include "core/base/error.h"
#include "parallel/checkpoint/boxes.h"

namespace troupe::checkpoint {

ReadAhead::ReadAhead(const Stored& stored, std::vector<Piece> pieces)
    : stored_(stored), pieces_(std::move(pieces)), failures_(pieces_.size()) {
  size_t buffered = 0;
  for (Piece& piece : pieces_) {
    buffered_.push_back(buffered);
    if (piece.into != nullptr) continue;
    std::vector<std::byte>& buffer = buffers_[buffered++ % buffers_.size()];
    const size_t bytes = static_cast<size_t>(volume(piece.box)) * size_of(piece.tensor->dtype);
    if (buffer.size() < bytes) buffer.resize(bytes);
  }
  try {
    reader_ = std::thread([this] { read_all(); });
  } catch (const std::system_error&) {
    // No thread to be had: a piece is read when it is asked for.
  }
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    given_up_ = true;
  }
  changed_.notify_all();
  if (reader_.joinable()) reader_.join();
}

void ReadAhead::read_all() {
  for (size_t piece = 0; piece < pieces_.size(); ++piece) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] {
        // The buffer of the piece that was taken last is in use.
        const size_t kept = taken_ == 0 ? 0 : buffered_[taken_ - 1];
        return given_up_ || pieces_[piece].into != nullptr ||
               buffered_[piece] < kept + buffers_.size();
      });
      if (given_up_) return;
    }
    read(piece);
    {
      const std::lock_guard lock(mutex_);
      ++read_;
    }
    changed_.notify_all();
  }
}

void ReadAhead::read(size_t piece) {
  const Piece& what = pieces_[piece];
  std::byte* out =
      what.into != nullptr ? what.into : buffers_[buffered_[piece] % buffers_.size()].data();
  failures_[piece] = attempt([&] { stored_.read(*what.tensor, what.box, out); });
}

std::byte* ReadAhead::next(std::optional<Failure>& failure) {
  require(taken_ < pieces_.size(), "a checkpoint of {} pieces has no more", pieces_.size());
  size_t piece = 0;
  {
    std::unique_lock lock(mutex_);
    piece = taken_++;
    changed_.notify_all();
    if (reader_.joinable()) {
      changed_.wait(lock, [&] { return read_ > piece; });
    }
  }
  if (!reader_.joinable()) read(piece);
  if (!failure) failure = std::move(failures_[piece]);
  const Piece& what = pieces_[piece];
  return what.into != nullptr ? what.into : buffers_[buffered_[piece] % buffers_.size()].data();
}

}  // namespace troupe::checkpoint
