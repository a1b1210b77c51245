#include "parallel/comm/rank_status.h"

#include <chrono>
#include <cstring>
#include <thread>

namespace troupe {
namespace {

// 10 bits of group, 1 of direction, 21 of the peer + 1 (0 for collectives).
constexpr uint32_t kPeerBits = 21;
constexpr uint32_t kPeerMask = (1U << kPeerBits) - 1;
constexpr uint32_t kReceives = 1U << kPeerBits;

uint32_t pair_key(int group_id, int peer) {
  return static_cast<uint32_t>(group_id) << (kPeerBits + 1) |
         ((static_cast<uint32_t>(peer) + 1) & kPeerMask);
}

}  // namespace

uint32_t collective_key(int group_id) { return static_cast<uint32_t>(group_id) << (kPeerBits + 1); }

uint32_t send_key(int group_id, int to_world_rank) { return pair_key(group_id, to_world_rank); }

uint32_t receive_key(int group_id, int from_world_rank) {
  return pair_key(group_id, from_world_rank) | kReceives;
}

uint32_t key_of_peer(uint32_t key, int rank) {
  if ((key & kPeerMask) == 0) return key;
  const int group = static_cast<int>(key >> (kPeerBits + 1));
  return (key & kReceives) != 0 ? send_key(group, rank) : receive_key(group, rank);
}

std::string OperationNote::text() const {
  return fmt::format("{} \"{}\" in group {} of {} ranks (operation {}){}", troupe::name(kind),
                     site.data(), group.data(), group_size, number, position.text());
}

int64_t steady_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

uint32_t OperationCounts::begin(uint32_t key) {
  const uint64_t tag = static_cast<uint64_t>(key) + 1;
  size_t at = (key * 2654435761U) >> 24;
  for (size_t tried = 0; tried < kEntries; ++tried, at = (at + 1) % kEntries) {
    const uint64_t entry = entries_[at].load(std::memory_order_relaxed);
    if (entry != 0 && entry >> 32 != tag) continue;
    const auto count = static_cast<uint32_t>(entry);
    entries_[at].store(tag << 32 | (count + 1), std::memory_order_release);
    return count;
  }
  full_.store(1, std::memory_order_relaxed);
  return kUnknownNumber;
}

std::optional<uint32_t> OperationCounts::begun(uint32_t key) const {
  const uint64_t tag = static_cast<uint64_t>(key) + 1;
  for (const auto& entry : entries_) {
    const uint64_t value = entry.load(std::memory_order_acquire);
    if (value >> 32 == tag) return static_cast<uint32_t>(value);
  }
  if (full_.load(std::memory_order_relaxed) != 0) return std::nullopt;
  return 0;
}

void OperationCounts::forget_group(int group_id) {
  for (auto& entry : entries_) {
    const uint64_t value = entry.load(std::memory_order_relaxed);
    if (value == 0) continue;
    const auto key = static_cast<uint32_t>((value >> 32) - 1);
    if (key >> (kPeerBits + 1) == static_cast<uint32_t>(group_id)) {
      entry.store(value >> 32 << 32, std::memory_order_relaxed);
    }
  }
}

void OperationCounts::copy_to(OperationCounts& other) const {
  for (size_t i = 0; i < kEntries; ++i) {
    other.entries_[i].store(entries_[i].load(std::memory_order_acquire), std::memory_order_relaxed);
  }
  other.full_.store(full_.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

void StatusSlot::write(const RankStatus& status) {
  std::array<uint64_t, kWords> words;
  std::memcpy(words.data(), &status, sizeof(status));
  const uint64_t version = version_.load(std::memory_order_relaxed);
  version_.store(version + 1, std::memory_order_relaxed);
  for (size_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_release);
  version_.store(version + 2, std::memory_order_release);
}

RankStatus StatusSlot::read() const {
  std::array<uint64_t, kWords> words;
  // A rank that is stopped in the middle of a write never ends it: what is there must do then.
  const int64_t limit = steady_ms() + 200;
  do {
    const uint64_t before = version_.load(std::memory_order_acquire);
    for (size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_acquire);
    if (before % 2 == 0 && version_.load(std::memory_order_relaxed) == before) break;
    std::this_thread::yield();
  } while (steady_ms() < limit);
  RankStatus status;
  std::memcpy(static_cast<void*>(&status), words.data(), sizeof(status));
  status.waits_in.site.back() = status.last.site.back() = '\0';
  status.waits_in.group.back() = status.last.group.back() = '\0';
  return status;
}

SeenRank::SeenRank(const SeenRank& other) { *this = other; }

SeenRank& SeenRank::operator=(const SeenRank& other) {
  if (this == &other) return *this;
  answers = other.answers;
  known = other.known;
  idle_ms = other.idle_ms;
  status = other.status;
  other.counts.copy_to(counts);
  return *this;
}

}  // namespace troupe
