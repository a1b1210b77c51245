// The contract of a group of ranks. Three backends (self, thread, mpi) keep it and give the same
// bits.
//
// - Every rank of the group enters every collective, in the same order, with zero rows if need be.
// - Sums are added in rank order (rank 0 first), never by MPI_SUM: pieces are exchanged and added.
// - Views are contiguous and stay alive and untouched until the Work is complete.
// - Every wait has a deadline; passing it throws Error(distributed) that names what was awaited.
// - When a rank fails, World::poison() makes every wait of its peers throw "rank N failed: ..."
// instead of hanging.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/tensor/view.h"
#include "parallel/comm/world.h"

namespace troupe {

enum class CollectiveKind : uint8_t {
  barrier,
  broadcast,
  all_reduce,
  all_gather,
  reduce_scatter,
  all_to_all,
  send,
  receive
};
const char* name(CollectiveKind kind);

// Counted per communicator: calls and bytes this rank sent to OTHER ranks, by kind and call site.
struct Traffic {
  int64_t calls = 0;
  int64_t bytes = 0;
};
// Payload only: a barrier counts calls and no bytes.
using TrafficKey = std::pair<CollectiveKind, std::string>;
using TrafficTable = std::map<TrafficKey, Traffic>;

// A running operation. Move-only; destroying one that was not waited for waits for it.
class Work {
 public:
  class Impl {
   public:
    virtual ~Impl() = default;
    virtual bool done() = 0;    // progresses it
    virtual void finish() = 0;  // throws on deadline or poison
    // For transports that work in the order of a stream; the others finish.
    virtual void wait(Stream& /*stream*/) { finish(); }
  };
  Work() = default;  // complete
  explicit Work(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
  Work(Work&&) noexcept = default;
  Work& operator=(Work&& other) noexcept(false);
  ~Work();
  bool done() { return impl_ == nullptr || impl_->done(); }
  // What `stream` is told to do from here on comes after the operation; the host may go on before.
  void wait(Stream& stream) {
    if (auto waiting = std::move(impl_)) waiting->wait(stream);
  }
  // The host waits until the operation is complete.
  void finish() {
    if (auto finishing = std::move(impl_)) finishing->finish();
  }

 private:
  std::unique_ptr<Impl> impl_;
};

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual std::string name() const = 0;  // for messages: "world", "ep", ...
  // Where this rank runs: ranks of one world with the same number share memory.
  virtual int node() const = 0;

  // `site` says who calls and why ("grad bucket 3", "moe.dispatch layer 2"): named in messages and
  // counters.
  virtual Work barrier(const std::string& site) = 0;
  virtual Work broadcast(View data, int root, const std::string& site) = 0;
  // data += the others' data, in rank order; f64, f32, bf16 (added in f32), i64, i32.
  virtual Work all_reduce_sum(View data, const std::string& site) = 0;
  // out: [size * n] from each rank's in: [n], in rank order.
  virtual Work all_gather(View in, View out, const std::string& site) = 0;
  // out: [n] = sum over ranks of piece rank() of in: [size * n].
  virtual Work reduce_scatter_sum(View in, View out, const std::string& site) = 0;
  // Rows of dim 0: send_rows[r] rows go to rank r, recv_rows[r] rows come from it, both in rank
  // order. Any size, also beyond 2^31 bytes; zero rows from any rank. Two ranks that disagree on
  // the rows between them get Error(distributed).
  virtual Work all_to_all(View in, std::span<const int64_t> send_rows, View out,
                          std::span<const int64_t> recv_rows, const std::string& site) = 0;
  // Limits the ranks with which all_to_all of this group exchanges rows: partners[r] is 1 if rank r
  // may send rows to this rank or receive rows from it. With the others no message is exchanged,
  // not even one that says "no rows". Two ranks must say the same of each other. Before the first
  // call all ranks are partners.
  virtual void set_partners(std::vector<char> partners) = 0;
  virtual Work send(View data, int to, const std::string& site) = 0;
  virtual Work receive(View data, int from, const std::string& site) = 0;

  // Ranks with the same color form a group, ordered by key then rank; null for a negative color.
  // Collective.
  virtual std::unique_ptr<Communicator> split(int color, int key, const std::string& name) = 0;

  // What this rank's groups share.
  virtual World& world() = 0;
  virtual const TrafficTable& traffic() const = 0;
};

}  // namespace troupe
