// What a rank shows of itself: which operations it has begun, which was the last that it finished,
// and for whom it waits. Its main thread writes, anyone reads at any time, also from another
// process and while the rank is stopped.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include "parallel/comm/communicator.h"

namespace troupe {

// Operations are counted by key: the collectives of a group, and the sends and receives between two
// of its ranks.
uint32_t collective_key(int group_id);
uint32_t send_key(int group_id, int to_world_rank);
uint32_t receive_key(int group_id, int from_world_rank);
// The key under which `peer` counts its half of an operation that `rank` counts under `key`.
uint32_t key_of_peer(uint32_t key, int rank);

constexpr uint32_t kUnknownNumber = 0xffffffff;

// An operation as it is named in messages. Names are cut off where they are too long.
struct OperationNote {
  int64_t bytes = 0;
  uint32_t key = 0;
  uint32_t number = 0;  // of this key, from 0
  CollectiveKind kind = CollectiveKind::barrier;
  StepPosition position;
  int32_t group_size = 0;
  std::array<char, 28> group{};
  std::array<char, 104> site{};

  // all_reduce "gradients" in group dp of 4 ranks (operation 20), layer 3, micro-batch 2, backward
  std::string text() const;
};

struct RankStatus {
  enum class State : int32_t { working, waiting, ended };
  static constexpr int kPeers = 14;

  uint64_t started = 0;   // operations, of all groups
  uint64_t finished = 0;  // of those
  int64_t since_ms = 0;   // steady clock: begin of the state, or the end of the last operation
  State state = State::working;
  int32_t awaited_count = 0;
  std::array<int32_t, kPeers> awaited{};  // world ranks, the first ones, while waiting
  OperationNote waits_in;                 // while waiting
  OperationNote last;                     // finished last; meaningful when finished > 0
};
static_assert(std::is_trivially_copyable_v<RankStatus> && sizeof(RankStatus) % 8 == 0);

int64_t steady_ms();

// How many operations of each key a rank has begun.
class OperationCounts {
 public:
  // The number of the operation that begins now; kUnknownNumber when there are too many keys.
  uint32_t begin(uint32_t key);
  // none: not known.
  std::optional<uint32_t> begun(uint32_t key) const;
  // The id is given to a new group: its counts begin at zero.
  void forget_group(int group_id);
  // A copy that stays as it is.
  void copy_to(OperationCounts& other) const;

 private:
  static constexpr size_t kEntries = 256;
  std::array<std::atomic<uint64_t>, kEntries> entries_;  // key + 1 above, count below; 0: free
  std::atomic<uint64_t> full_;
};

// Memory of zeros is a fresh slot.
class StatusSlot {
 public:
  void write(const RankStatus& status);
  RankStatus read() const;
  OperationCounts& counts() { return counts_; }
  const OperationCounts& counts() const { return counts_; }
  // A thread of the rank's process calls it all the time: it lives and is not stopped.
  void beat() { beats_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t beats() const { return beats_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kWords = sizeof(RankStatus) / 8;
  std::atomic<uint64_t> version_;  // odd while it is written
  std::array<std::atomic<uint64_t>, kWords> words_;
  OperationCounts counts_;
  std::atomic<uint64_t> beats_;
};

// A rank as another one sees it.
struct SeenRank {
  bool answers = false;  // within the time given
  bool known = false;    // status and counts are what it last showed
  int64_t idle_ms = 0;   // since status.since_ms
  RankStatus status;
  OperationCounts counts{};

  SeenRank() = default;
  SeenRank(const SeenRank& other);
  SeenRank& operator=(const SeenRank& other);
};

}  // namespace troupe
