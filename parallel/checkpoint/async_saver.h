// Saves beside training: the step waits only while the rank copies what it writes. A thread of each
// rank then works, without communicating; between steps the ranks agree that all are through with a
// phase of the save (save_job.h) and go on to the next.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "core/device/device.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/checkpoint/save_job.h"
#include "parallel/checkpoint/snapshot.h"

namespace troupe::checkpoint {

class AsyncSaver {
 public:
  AsyncSaver(std::shared_ptr<Communicator> world, const std::shared_ptr<Device>& device);
  // A save in flight is given up: what it wrote is removed.
  ~AsyncSaver();
  AsyncSaver(const AsyncSaver&) = delete;
  AsyncSaver& operator=(const AsyncSaver&) = delete;

  // Collective. As save_step(), but returns when the state is copied. Waits for the save in flight.
  void start(const std::string& run_dir, int64_t step, int64_t keep, const State& state,
             const SaveOptions& options);
  bool busy() const { return job_ != nullptr; }
  // A save is in flight and this rank is through with its phase.
  bool ready() const { return busy() && through_.load(std::memory_order_acquire); }
  // Collective, once all ranks are ready (or at any time: then it waits). The path when the save is
  // complete. A failure of any rank is thrown on every rank, with the code and text of save().
  std::optional<std::string> advance();
  // Collective. Waits for the save in flight; its path, none when there is none.
  std::optional<std::string> finish();

 private:
  void launch();
  void join();

  std::shared_ptr<Communicator> world_;
  Snapshot snapshot_;
  std::unique_ptr<SaveJob> job_;
  std::thread worker_;
  std::atomic<bool> through_{false};
};

}  // namespace troupe::checkpoint
