#include "parallel/comm/reduction.h"

#include <algorithm>

#include "core/kernels/cpu/ordered_sum.h"

namespace troupe {
namespace {

// Segments on their way at the same time: while one is added the next one travels.
constexpr size_t kSlots = 3;

}  // namespace

DirectSum::DirectSum(std::shared_ptr<GroupState> group, const OperationKind& kind, View data)
    : Operation(std::move(group), kind), data_(data), exchange_(*group_, check()) {
  const int64_t bytes = data.elements() * static_cast<int64_t>(size_of(data.dtype));
  scratch_ = group_->shared->scratch(bytes * group_->size());
  const int tag = message_tag(*group_, sequence_, Stage::first);
  for (int peer = 0; peer < group_->size(); ++peer) {
    if (peer == group_->rank) continue;
    exchange_.receive(peer, scratch_.data<uint8_t>() + bytes * peer, bytes, tag);
  }
  for (int peer = 0; peer < group_->size(); ++peer) {
    if (peer != group_->rank) exchange_.send(peer, data.data, bytes, tag);
  }
}

bool DirectSum::advance() {
  if (!exchange_.done()) return false;
  const int64_t bytes = data_.elements() * static_cast<int64_t>(size_of(data_.dtype));
  std::vector<const void*> parts;
  parts.reserve(static_cast<size_t>(group_->size()));
  for (int peer = 0; peer < group_->size(); ++peer) {
    parts.push_back(peer == group_->rank ? data_.data : scratch_.data<uint8_t>() + bytes * peer);
  }
  kernels::cpu::ordered_sum(data_.dtype, parts, data_.data, data_.elements());
  return true;
}

PiecewiseSum::PiecewiseSum(std::shared_ptr<GroupState> group, const OperationKind& kind, View in,
                           std::vector<int64_t> begins, void* out, bool gather)
    : Operation(std::move(group), kind),
      in_(in),
      begins_(std::move(begins)),
      out_(static_cast<char*>(out)),
      gather_(gather),
      element_bytes_(static_cast<int64_t>(size_of(in.dtype))),
      segment_elements_(std::max<int64_t>(
          1, group_->shared->options.segment_bytes / static_cast<int64_t>(size_of(in.dtype)))) {
  for (int piece = 0; piece < group_->size(); ++piece) {
    const auto p = static_cast<size_t>(piece);
    const int64_t elements = begins_[p + 1] - begins_[p];
    segments_ = std::max(segments_, (elements + segment_elements_ - 1) / segment_elements_);
  }
  // Messages of equal tag are matched by the order of their start, so none of them waits for the
  // check by itself: advance() comes after it.
  if (check() == nullptr) fill();
}

void PiecewiseSum::fill() {
  while (next_ < segments_ && slots_.size() < kSlots) start(next_++);
}

int64_t PiecewiseSum::begin(int piece, int64_t segment) const {
  const auto p = static_cast<size_t>(piece);
  return std::min(begins_[p] + segment * segment_elements_, begins_[p + 1]);
}

int64_t PiecewiseSum::count(int piece, int64_t segment) const {
  return begin(piece, segment + 1) - begin(piece, segment);
}

char* PiecewiseSum::at(int64_t element) const {
  return static_cast<char*>(in_.data) + element * element_bytes_;
}

void PiecewiseSum::start(int64_t segment) {
  const int me = group_->rank;
  const int64_t own_bytes = count(me, segment) * element_bytes_;
  slots_.push_back(
      {segment, group_->shared->scratch(own_bytes * group_->size()), Exchange(*group_), false});
  Slot& slot = slots_.back();
  const int tag = message_tag(*group_, sequence_, Stage::first);
  for (int peer = 0; peer < group_->size(); ++peer) {
    if (peer == me) continue;
    slot.exchange.receive(peer, slot.scratch.data<uint8_t>() + own_bytes * peer, own_bytes, tag);
  }
  for (int peer = 0; peer < group_->size(); ++peer) {
    if (peer == me) continue;
    slot.exchange.send(peer, at(begin(peer, segment)), count(peer, segment) * element_bytes_, tag);
  }
}

void PiecewiseSum::add(Slot& slot) {
  const int me = group_->rank;
  const int64_t elements = count(me, slot.segment);
  if (elements == 0) return;
  std::vector<const void*> parts;
  parts.reserve(static_cast<size_t>(group_->size()));
  for (int peer = 0; peer < group_->size(); ++peer) {
    parts.push_back(peer == me ? at(begin(me, slot.segment))
                               : reinterpret_cast<char*>(slot.scratch.data<uint8_t>()) +
                                     elements * element_bytes_ * peer);
  }
  char* out = gather_ ? at(begin(me, slot.segment))
                      : out_ + slot.segment * segment_elements_ * element_bytes_;
  kernels::cpu::ordered_sum(in_.dtype, parts, out, elements);
}

void PiecewiseSum::start_gather(Slot& slot) {
  const int me = group_->rank;
  const int tag = message_tag(*group_, sequence_, Stage::second);
  slot.gathering = true;
  for (int peer = 0; peer < group_->size(); ++peer) {
    if (peer == me) continue;
    slot.exchange.receive(peer, at(begin(peer, slot.segment)),
                          count(peer, slot.segment) * element_bytes_, tag);
  }
  for (int peer = 0; peer < group_->size(); ++peer) {
    if (peer == me) continue;
    slot.exchange.send(peer, at(begin(me, slot.segment)), count(me, slot.segment) * element_bytes_,
                       tag);
  }
}

bool PiecewiseSum::advance() {
  fill();
  // Slots are taken in order, for the same reason.
  for (Slot& slot : slots_) {
    if (!slot.gathering) {
      if (!slot.exchange.done()) break;
      add(slot);
      if (gather_) {
        start_gather(slot);
      } else {
        slot.gathering = true;
      }
    }
  }
  while (!slots_.empty() && slots_.front().gathering && slots_.front().exchange.done()) {
    slots_.pop_front();
    fill();
  }
  return slots_.empty();
}

std::vector<int> PiecewiseSum::pending() const {
  return slots_.empty() ? std::vector<int>{} : slots_.front().exchange.pending();
}

}  // namespace troupe
