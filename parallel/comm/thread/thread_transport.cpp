#include "parallel/comm/thread/thread_transport.h"

#include <cstring>
#include <thread>

#include "core/base/usable_cores.h"

namespace troupe {

ThreadExchange::ThreadExchange(int ranks)
    : boxes_(static_cast<size_t>(ranks)), slots_(static_cast<size_t>(ranks)) {}

void ThreadExchange::end(int rank) {
  RankStatus status = slot(rank).read();
  status.state = RankStatus::State::ended;
  slot(rank).write(status);
}

bool ThreadExchange::claim_report(int rank) {
  int none = -1;
  return reporter_.compare_exchange_strong(none, rank) || none == rank;
}

void ThreadExchange::post(const std::shared_ptr<Message>& message) {
  Box& box = boxes_[static_cast<size_t>(message->to)];
  std::shared_ptr<Message> other;
  {
    std::lock_guard lock(box.mutex);
    for (auto it = box.messages.begin(); it != box.messages.end(); ++it) {
      const Message& waiting = **it;
      if (waiting.is_send != message->is_send && waiting.from == message->from &&
          waiting.tag == message->tag) {
        other = *it;
        other->state.store(Message::copying, std::memory_order_relaxed);
        box.messages.erase(it);
        break;
      }
    }
    if (other == nullptr) {
      box.messages.push_back(message);
      return;
    }
  }
  const Message& send = message->is_send ? *message : *other;
  const Message& receive = message->is_send ? *other : *message;
  const bool fits = send.bytes == receive.bytes;
  if (fits && send.bytes > 0) {
    std::memcpy(receive.target, send.source, static_cast<size_t>(send.bytes));
  }
  message->other_bytes = other->bytes;
  other->other_bytes = message->bytes;
  const auto state = fits ? Message::done : Message::differs;
  message->state.store(state, std::memory_order_release);
  other->state.store(state, std::memory_order_release);
}

void ThreadExchange::withdraw(const std::shared_ptr<Message>& message) {
  {
    Box& box = boxes_[static_cast<size_t>(message->to)];
    std::lock_guard lock(box.mutex);
    if (message->state.load(std::memory_order_relaxed) == Message::posted) {
      box.messages.remove(message);
      return;
    }
  }
  while (message->state.load(std::memory_order_acquire) < Message::done) {
    std::this_thread::yield();
  }
}

void ThreadExchange::poison(int rank, const std::string& cause, ExitCode code) {
  std::lock_guard lock(poison_mutex_);
  if (poisoned_.load(std::memory_order_relaxed)) return;
  failed_rank_ = rank;
  cause_ = cause;
  code_ = code;
  poisoned_.store(true, std::memory_order_release);
}

void ThreadExchange::throw_cause() const {
  fail(code_, "rank {} failed: {}", failed_rank_, cause_);
}

namespace {

using Message = ThreadExchange::Message;

class ThreadTransfer final : public Transfer {
 public:
  ThreadTransfer(std::shared_ptr<ThreadExchange> world, std::shared_ptr<Message> message)
      : world_(std::move(world)), message_(std::move(message)) {}
  ~ThreadTransfer() override {
    if (message_->state.load(std::memory_order_acquire) < Message::done) {
      world_->withdraw(message_);
    }
  }
  bool done() override {
    const int state = message_->state.load(std::memory_order_acquire);
    if (state == Message::differs) {
      const bool send = message_->is_send;
      throw SizeMismatch(message_->from, send ? message_->bytes : message_->other_bytes,
                         message_->to, send ? message_->other_bytes : message_->bytes);
    }
    return state == Message::done;
  }

 private:
  std::shared_ptr<ThreadExchange> world_;
  std::shared_ptr<Message> message_;
};

// A rank is a thread of this process: it cannot be stopped alone, and what it shows is always
// there.
class ThreadBoard final : public StatusBoard {
 public:
  ThreadBoard(std::shared_ptr<ThreadExchange> world, int rank)
      : world_(std::move(world)), rank_(rank) {}
  StatusSlot& own() override { return world_->slot(rank_); }
  std::vector<SeenRank> look(std::chrono::milliseconds, const std::vector<SeenRank>&) override {
    std::vector<SeenRank> seen(static_cast<size_t>(world_->ranks()));
    for (size_t rank = 0; rank < seen.size(); ++rank) {
      const StatusSlot& slot = world_->slot(static_cast<int>(rank));
      seen[rank].answers = seen[rank].known = true;
      seen[rank].status = slot.read();
      slot.counts().copy_to(seen[rank].counts);
      seen[rank].idle_ms = steady_ms() - seen[rank].status.since_ms;
    }
    return seen;
  }
  bool claim_report() override { return world_->claim_report(rank_); }
  bool keeps_report() override { return true; }

 private:
  std::shared_ptr<ThreadExchange> world_;
  int rank_;
};

class ThreadTransport final : public Transport {
 public:
  ThreadTransport(std::shared_ptr<ThreadExchange> world, int rank)
      : world_(std::move(world)),
        rank_(rank),
        may_spin_(world_->ranks() <= usable_cores()),
        board_(world_, rank) {}
  int rank() const override { return rank_; }
  int size() const override { return world_->ranks(); }

  std::unique_ptr<Transfer> start_send(int to, const void* data, int64_t bytes, int tag) override {
    auto message = std::make_shared<Message>();
    message->from = rank_;
    message->to = to;
    message->is_send = true;
    message->source = data;
    return start(std::move(message), bytes, tag);
  }
  std::unique_ptr<Transfer> start_receive(int from, void* data, int64_t bytes, int tag) override {
    auto message = std::make_shared<Message>();
    message->from = from;
    message->to = rank_;
    message->target = data;
    return start(std::move(message), bytes, tag);
  }
  void check() override {
    if (world_->poisoned()) world_->throw_cause();
  }
  void poison(const std::string& cause, ExitCode code) override {
    world_->poison(rank_, cause, code);
  }
  StatusBoard* board() override { return &board_; }
  bool may_spin() const override { return may_spin_; }

 private:
  std::unique_ptr<Transfer> start(std::shared_ptr<Message> message, int64_t bytes, int tag) {
    message->bytes = bytes;
    message->tag = tag;
    world_->post(message);
    return std::make_unique<ThreadTransfer>(world_, std::move(message));
  }
  std::shared_ptr<ThreadExchange> world_;
  int rank_;
  bool may_spin_;
  ThreadBoard board_;
};

}  // namespace

std::unique_ptr<Transport> thread_transport(std::shared_ptr<ThreadExchange> world, int rank) {
  return std::make_unique<ThreadTransport>(std::move(world), rank);
}

}  // namespace troupe
