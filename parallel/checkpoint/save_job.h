// A save in phases: what a rank does by itself (work) and what the ranks then agree on (advance).
// work() may run in a thread of its own beside training; advance() is collective.
//
//   create   rank 0 makes the file with room for every tensor
//   write    every rank writes its shares into the file and takes their digests
//   check    every tensor is read back from the disk by one rank, which takes its digest
//   finish   rank 0 adds digests and seal and gives the file its name
//
// A large checkpoint goes into one file for each rank; `finish` then writes the manifest.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "parallel/checkpoint/save_target.h"
#include "parallel/comm/agreement.h"

namespace troupe::checkpoint {

class SaveJob {
 public:
  // shares: of this rank; what they point to stays as it is until the write phase is over.
  SaveJob(SaveRequest request, std::vector<OwnShare> shares, Communicator& world);
  ~SaveJob();
  SaveJob(const SaveJob&) = delete;
  SaveJob& operator=(const SaveJob&) = delete;

  // This rank's work of the present phase. Does not communicate and does not throw: a failure is
  // told by the next advance().
  void work();
  // Whether this rank has anything to do in the present phase.
  bool has_work() const { return leader_ || phase_ == Phase::write || phase_ == Phase::check; }
  // Collective, after work(). True when the save is complete. Throws the same Error on every rank
  // when the work of one failed; the job is then over.
  bool advance();
  const SaveRequest& request() const { return request_; }

 private:
  enum class Phase { create, write, check, finish, done };
  void open_together();
  void exchange_shares();
  void exchange_digests();
  // Rank 0 writes what the others send it: where they do not see its files.
  void gather();
  // rank: one that does not see the file; -1 = all see it.
  void warn_of_other_disk(int64_t rank) const;
  void assign_checkers();
  void check_tensor(size_t tensor);

  SaveRequest request_;
  std::vector<OwnShare> shares_;
  Communicator& world_;
  bool leader_;
  Phase phase_ = Phase::create;
  bool sharded_;
  bool gathering_ = false;
  std::unique_ptr<SaveTarget> target_;
  std::optional<Failure> failure_;
  std::string told_;                                // by rank 0 after create
  std::string report_;                              // of this rank after write
  std::vector<Digest> own_digests_;                 // of shares_
  std::vector<std::vector<Digest>> share_digests_;  // as in the plan; none where gathered
  std::vector<int> checkers_;                       // rank by tensor
  std::vector<Digest> digests_;                     // by tensor
  std::vector<std::byte> read_back_;
};

// Collective. A whole save at once; the request needs no plan and no scalars.
void save(SaveRequest request, const State& state, Communicator& world);

}  // namespace troupe::checkpoint
