// Messages between threads: whoever comes second, sender or receiver, copies straight from the
// sender's memory into the receiver's.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "parallel/comm/status_board.h"
#include "parallel/comm/transport.h"

namespace troupe {

// What the ranks of one world share.
class ThreadExchange {
 public:
  explicit ThreadExchange(int ranks);
  int ranks() const { return static_cast<int>(boxes_.size()); }

  struct Message {
    enum State : int { posted, copying, done, differs };
    int from = 0;
    int to = 0;
    int tag = 0;
    bool is_send = false;
    const void* source = nullptr;
    void* target = nullptr;
    int64_t bytes = 0;
    int64_t other_bytes = 0;  // of the other half, where they differ
    std::atomic<int> state{posted};
  };
  // Copies if the other half is there already, else leaves the message in the receiver's box.
  void post(const std::shared_ptr<Message>& message);
  // Takes a message back, or waits for the copy that has begun.
  void withdraw(const std::shared_ptr<Message>& message);

  // The first failure counts; later ones are its consequences.
  void poison(int rank, const std::string& cause, ExitCode code);
  bool poisoned() const { return poisoned_.load(std::memory_order_acquire); }
  int failed_rank() const { return failed_rank_; }  // meaningful when poisoned
  [[noreturn]] void throw_cause() const;

  StatusSlot& slot(int rank) { return slots_[static_cast<size_t>(rank)]; }
  // This rank does nothing more.
  void end(int rank);
  bool claim_report(int rank);

 private:
  struct Box {
    std::mutex mutex;
    std::list<std::shared_ptr<Message>> messages;
  };
  std::vector<Box> boxes_;
  std::vector<StatusSlot> slots_;
  std::atomic<int> reporter_{-1};
  std::mutex poison_mutex_;
  std::atomic<bool> poisoned_{false};
  int failed_rank_ = -1;
  std::string cause_;
  ExitCode code_ = ExitCode::internal;
};

std::unique_ptr<Transport> thread_transport(std::shared_ptr<ThreadExchange> world, int rank);

}  // namespace troupe
