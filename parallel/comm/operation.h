// A running operation of one rank: transfers with its peers, the deadline, and what comes after.
#pragma once

#include <bitset>
#include <memory>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"
#include "parallel/comm/communicator.h"
#include "parallel/comm/options.h"
#include "parallel/comm/rank_status.h"
#include "parallel/comm/transport.h"

namespace troupe {

class Operation;
class SignatureCheck;

constexpr int kMaxGroups = 1024;
using GroupIds = std::bitset<kMaxGroups>;

// What all groups of one rank share.
struct RankState final : World {
  std::unique_ptr<Transport> transport;
  CommOptions options;
  std::shared_ptr<Device> device;
  std::shared_ptr<Device> scratch_device;  // host memory; the same where that can be
  std::vector<Operation*> active;          // in the order in which they were started
  GroupIds used_ids;                       // of the groups that this rank is in
  std::vector<Sent> sent_to;               // each rank of the world
  StepPosition at;
  RankStatus status;  // as last shown on the board

  // Lets every active operation go on.
  void progress() override;
  void set_timeout(std::chrono::milliseconds timeout) override { options.timeout = timeout; }
  std::chrono::milliseconds timeout() const override { return options.timeout; }
  void set_check_collectives(bool check) override { options.check_collectives = check; }
  StepPosition& position() override { return at; }
  void set_device(const std::shared_ptr<Device>& own) override;
  void poison(const std::string& cause, ExitCode code) override { transport->poison(cause, code); }
  const std::vector<Sent>& sent() const override { return sent_to; }
  Tensor scratch(int64_t bytes);
  void show_status();
  Trace* trace() const { return device == nullptr ? nullptr : device->stream().trace; }
};

// One group of ranks, as this rank sees it.
struct GroupState {
  std::shared_ptr<RankState> shared;
  std::vector<int> members;  // world ranks, in group order
  int rank = 0;
  int id = 0;  // the same on all members and different from any other group of two common members
  uint32_t sequence = 0;
  std::string name;
  std::vector<char> partners;  // of all_to_all; empty: all
  OperationNote last_finished;
  bool any_finished = false;

  GroupState() = default;
  GroupState(const GroupState&) = delete;
  GroupState& operator=(const GroupState&) = delete;
  ~GroupState();
  int size() const { return static_cast<int>(members.size()); }
};

// Does the other side know how many bytes come?
enum class Length { known, told };

// Transfers that run together.
class Exchange {
 public:
  // With a check nothing is sent before it has passed; it must outlive this. counted: in sent().
  explicit Exchange(const GroupState& group, const SignatureCheck* check = nullptr,
                    bool counted = true)
      : group_(&group), check_(check), counted_(counted) {}
  // Ranks are group ranks. With a known length nothing is sent for zero bytes; with one that is
  // told any difference of the two lengths is noticed.
  void send(int to, const void* data, int64_t bytes, int tag, Length length = Length::known);
  void receive(int from, void* data, int64_t bytes, int tag, Length length = Length::known);
  bool done();
  // Group ranks of unfinished transfers, ascending.
  std::vector<int> pending() const;

 private:
  struct Message {
    int peer;
    bool is_send;
    char* data;
    int64_t bytes;
    int tag;
  };
  struct Running {
    int peer;
    std::unique_ptr<Transfer> transfer;
  };
  void add(const Message& whole, Length length);
  void start(const Message& message);
  const GroupState* group_;
  const SignatureCheck* check_;
  bool counted_;
  std::vector<Message> waiting_;  // for the check
  std::vector<Running> running_;
};

// Which of the messages of one operation: they must not be mixed up between operations that run at
// the same time.
enum class Stage : int { first = 0, second = 1, point_to_point = 2, check = 3 };
int message_tag(const GroupState& group, uint32_t sequence, Stage stage);

// What an operation is, besides its data.
struct OperationKind {
  CollectiveKind kind;
  std::string site;
  int64_t bytes = 0;  // the same on all ranks; for all_to_all those of a row
  int peer = -1;      // group rank: the root of a broadcast, the other side of a send or receive
  std::vector<int64_t> to{};  // of all_to_all: bytes to and from each rank
  std::vector<int64_t> from{};
  int64_t sent = 0;  // of all_to_all: bytes to the other ranks
};

// Base of all operations: registers itself for progress, waits with the deadline.
class Operation : public Work::Impl {
 public:
  Operation(std::shared_ptr<GroupState> group, const OperationKind& kind);
  ~Operation() override;
  bool done() override;
  void finish() override;
  // Goes on as far as possible without waiting.
  void progress() {
    if (!finished_) go_on();
  }
  bool finished() const { return finished_; }

 protected:
  // True when complete.
  virtual bool advance() = 0;
  virtual std::vector<int> pending() const = 0;
  // For the exchanges of the operation; null when nothing is compared.
  const SignatureCheck* check() const { return check_.get(); }

  std::shared_ptr<GroupState> group_;
  uint32_t sequence_;

 private:
  struct Circle;
  void go_on();
  // Of several sends to one rank, or receives from it, the first one begins first: they are matched
  // by order. True when no earlier one still waits for its check.
  bool has_turn();
  // Is this the rank that reports what several see?
  bool reports();
  std::vector<int> awaited() const;  // world ranks
  // The end of a wait that was long enough to be shown.
  void show_going_on();
  // Once in a while during a long wait. waited: so far.
  void look_around(std::chrono::steady_clock::duration waited);
  // Says on the board for whom this rank waits.
  void show_waiting();
  // This rank has waited past the deadline: gathers what the others do and fails. Returns when
  // another rank turns out to report, unless it is to speak alone.
  void fail_late(bool alone);
  // With runtime.check_collectives, after a while: ranks that wait for each other in a circle will
  // never come.
  void check_circle();

  OperationNote note_;
  std::unique_ptr<SignatureCheck> check_;
  bool shown_waiting_ = false;
  std::unique_ptr<Circle> circle_;  // while one is looked for
  std::vector<SeenRank> early_;     // what the others did shortly before the deadline
  bool finished_ = false;
  size_t traced_ = SIZE_MAX;  // its number in the trace
};

// One round of transfers.
class OneRound final : public Operation {
 public:
  OneRound(std::shared_ptr<GroupState> group, const OperationKind& kind)
      : Operation(std::move(group), kind), exchange_(*group_, check()) {}
  Exchange& exchange() { return exchange_; }
  int tag() const { return message_tag(*group_, sequence_, Stage::first); }

 private:
  bool advance() override { return exchange_.done(); }
  std::vector<int> pending() const override { return exchange_.pending(); }
  Exchange exchange_;
};

}  // namespace troupe
