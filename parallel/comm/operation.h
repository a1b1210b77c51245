// A running operation of one rank: transfers with its peers, the deadline, and what comes after.
#pragma once

#include <bitset>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"
#include "parallel/comm/communicator.h"
#include "parallel/comm/options.h"
#include "parallel/comm/transport.h"

namespace troupe {

class Operation;

constexpr int kMaxGroups = 1024;
using GroupIds = std::bitset<kMaxGroups>;

// What all groups of one rank share.
struct RankState {
  std::unique_ptr<Transport> transport;
  CommOptions options;
  std::shared_ptr<Device> device;
  std::vector<Operation*> active;  // in the order in which they were started
  GroupIds used_ids;               // of the groups that this rank is in
  std::vector<Sent> sent;          // to each rank of the world

  // Lets every active operation go on.
  void progress();
  Tensor scratch(int64_t bytes);
};

// One group of ranks, as this rank sees it.
struct GroupState {
  std::shared_ptr<RankState> shared;
  std::vector<int> members;  // world ranks, in group order
  int rank = 0;
  int id = 0;  // the same on all members and different from any other group of two common members
  uint32_t sequence = 0;
  std::string name;

  GroupState() = default;
  GroupState(const GroupState&) = delete;
  GroupState& operator=(const GroupState&) = delete;
  ~GroupState();
  int size() const { return static_cast<int>(members.size()); }
};

// Transfers that run together.
class Exchange {
 public:
  explicit Exchange(const GroupState& group) : group_(&group) {}
  // Ranks are group ranks. Nothing is sent for zero bytes (both sides know the count).
  void send(int to, const void* data, int64_t bytes, int tag);
  void receive(int from, void* data, int64_t bytes, int tag);
  bool done();
  // Group ranks of unfinished transfers, ascending.
  std::vector<int> pending() const;

 private:
  struct Running {
    int peer;
    std::unique_ptr<Transfer> transfer;
  };
  const GroupState* group_;
  std::vector<Running> running_;
};

// Which of the messages of one operation: they must not be mixed up between operations that run at
// the same time.
enum class Stage : int { first = 0, second = 1, point_to_point = 2 };
int message_tag(const GroupState& group, uint32_t sequence, Stage stage);

// Base of all operations: registers itself for progress, waits with the deadline.
class Operation : public Work::Impl {
 public:
  Operation(std::shared_ptr<GroupState> group, CollectiveKind kind, std::string site);
  ~Operation() override;
  bool done() override;
  void wait() override;
  // Goes on as far as possible without waiting.
  void progress() {
    if (!finished_) finished_ = advance();
  }
  bool finished() const { return finished_; }

 protected:
  // True when complete.
  virtual bool advance() = 0;
  virtual std::vector<int> pending() const = 0;

  std::shared_ptr<GroupState> group_;
  uint32_t sequence_;

 private:
  [[noreturn]] void fail_late() const;
  CollectiveKind kind_;
  std::string site_;
  bool finished_ = false;
};

// One round of transfers.
class OneRound final : public Operation {
 public:
  OneRound(std::shared_ptr<GroupState> group, CollectiveKind kind, std::string site)
      : Operation(std::move(group), kind, std::move(site)), exchange_(*group_) {}
  Exchange& exchange() { return exchange_; }
  int tag() const { return message_tag(*group_, sequence_, Stage::first); }

 private:
  bool advance() override { return exchange_.done(); }
  std::vector<int> pending() const override { return exchange_.pending(); }
  Exchange exchange_;
};

}  // namespace troupe
