// The board of an mpirun job. Ranks of a host share a page of memory without a name, so nothing is
// left behind however they end; a thread of each rank shows that it lives and answers the ranks of
// other hosts on a communicator of its own, whatever the main thread does.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <climits>
#include <condition_variable>
#include <cstring>
#include <list>
#include <mutex>
#include <new>
#include <thread>

#include "parallel/comm/mpi/mpi_transport.h"

namespace troupe {
namespace {

using std::chrono::milliseconds;

constexpr int kQueryTag = 1;
constexpr int kAnswerTag = 2;
constexpr auto kBeat = milliseconds(50);

struct Query {
  int32_t id;
  int32_t reports;  // the rank that asks has passed its deadline and wants to report
};

struct Answer {
  int32_t id = 0;
  int32_t rank = 0;
  int64_t idle_ms = 0;
  RankStatus status;
  OperationCounts counts{};
};

struct PageHead {
  std::atomic<int32_t> reporter{-1};              // world rank on this host
  std::atomic<int32_t> remote_reporter{INT_MAX};  // lowest one of the other hosts
};
constexpr size_t kHeadBytes = 64;
static_assert(sizeof(PageHead) <= kHeadBytes && std::atomic<uint64_t>::is_always_lock_free);

// Memory that the ranks of `local` share; null where they cannot, on all of them alike.
class SharedPage {
 public:
  SharedPage(MPI_Comm local, size_t bytes) : bytes_(bytes) {
    int rank = 0;
    MPI_Comm_rank(local, &rank);
    std::array<int, 2> from{static_cast<int>(getpid()), -1};
    if (rank == 0) {
      from[1] = memfd_create("troupe", MFD_CLOEXEC);
      if (from[1] >= 0 && ftruncate(from[1], static_cast<off_t>(bytes)) != 0) {
        close(from[1]);
        from[1] = -1;
      }
    }
    check_mpi(MPI_Bcast(from.data(), 2, MPI_INT, 0, local), "MPI_Bcast");
    const int file =
        from[1] < 0 || rank == 0
            ? from[1]
            : open(fmt::format("/proc/{}/fd/{}", from[0], from[1]).c_str(), O_RDWR | O_CLOEXEC);
    if (file >= 0) {
      void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
      if (at != MAP_FAILED) memory_ = at;
    }
    if (rank == 0 && memory_ != nullptr) new (memory_) PageHead;
    int good = memory_ != nullptr ? 1 : 0;
    check_mpi(MPI_Allreduce(MPI_IN_PLACE, &good, 1, MPI_INT, MPI_MIN, local), "MPI_Allreduce");
    if (file >= 0) close(file);
    if (good == 0) unmap();
  }
  ~SharedPage() { unmap(); }
  SharedPage(const SharedPage&) = delete;
  SharedPage& operator=(const SharedPage&) = delete;
  void* memory() const { return memory_; }

 private:
  void unmap() {
    if (memory_ != nullptr) munmap(memory_, bytes_);
    memory_ = nullptr;
  }
  size_t bytes_;
  void* memory_ = nullptr;
};

class MpiBoard final : public WatchedBoard {
 public:
  explicit MpiBoard(MPI_Comm local) {
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &talk_), "MPI_Comm_dup");
    MPI_Comm_set_errhandler(talk_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(talk_, &rank_);
    int size = 1;
    MPI_Comm_size(talk_, &size);
    slot_of_.assign(static_cast<size_t>(size), nullptr);
    place_slots(local);
    beats_.assign(slot_of_.size(), 0);
    start();
  }
  ~MpiBoard() override { MpiBoard::stop(); }

  StatusSlot& own() override { return *slot_of_[static_cast<size_t>(rank_)]; }

  std::vector<SeenRank> look(milliseconds limit, const std::vector<SeenRank>& before) override {
    std::vector<SeenRank> seen(slot_of_.size());
    std::vector<bool> silent(slot_of_.size(), false);  // in the look before
    for (size_t rank = 0; rank < before.size(); ++rank) silent[rank] = !before[rank].answers;
    ask(silent);
    const auto begin = std::chrono::steady_clock::now();
    const auto end = begin + limit;
    // Time for another host's claim of the report to arrive.
    const auto early = asked_.empty() ? begin : begin + 2 * kBeat;
    while (true) {
      take_answers(seen, silent);
      bool all = true;
      for (size_t rank = 0; rank < seen.size(); ++rank) {
        const StatusSlot* slot = slot_of_[rank];
        if (slot != nullptr && (static_cast<int>(rank) == rank_ || slot->beats() != beats_[rank])) {
          seen[rank].answers = true;
        }
        all = all && (seen[rank].answers || silent[rank]);
      }
      const auto now = std::chrono::steady_clock::now();
      if ((all && now >= early) || now >= end) break;
      std::this_thread::sleep_for(milliseconds(5));
    }
    for (size_t rank = 0; rank < seen.size(); ++rank) {
      if (slot_of_[rank] == nullptr) continue;
      seen[rank].known = true;
      seen[rank].status = slot_of_[rank]->read();
      slot_of_[rank]->counts().copy_to(seen[rank].counts);
      seen[rank].idle_ms = steady_ms() - seen[rank].status.since_ms;
    }
    return seen;
  }

  bool claim_report() override {
    int32_t none = -1;
    if (head_->remote_reporter.load() != INT_MAX && head_->reporter.load() != rank_) return false;
    return head_->reporter.compare_exchange_strong(none, rank_) || none == rank_;
  }
  bool keeps_report() override {
    // A claim sent before the answers that this rank has is here, even if the thread has not seen
    // it.
    std::lock_guard lock(mutex_);
    if (!asked_.empty()) answer_queries();
    return head_->remote_reporter.load() > rank_;
  }

  void stop() override {
    if (!thread_.joinable()) return;
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

 private:
  // Ranks with which this one shares memory have their slot there; the others are asked.
  void place_slots(MPI_Comm local) {
    int count = 1;
    MPI_Comm_size(local, &count);
    std::vector<int> ranks(static_cast<size_t>(count));
    check_mpi(MPI_Allgather(&rank_, 1, MPI_INT, ranks.data(), 1, MPI_INT, local), "MPI_Allgather");
    page_ = std::make_unique<SharedPage>(local, kHeadBytes + ranks.size() * sizeof(StatusSlot));
    auto* memory = static_cast<char*>(page_->memory());
    if (memory == nullptr) {
      alone_head_ = std::make_unique<PageHead>();
      alone_slot_ = std::make_unique<StatusSlot>();
      head_ = alone_head_.get();
      slot_of_[static_cast<size_t>(rank_)] = alone_slot_.get();
    } else {
      // Zeros are a fresh slot, and all ranks have seen the head written.
      head_ = reinterpret_cast<PageHead*>(memory);
      auto* slots = reinterpret_cast<StatusSlot*>(memory + kHeadBytes);
      for (size_t i = 0; i < ranks.size(); ++i) slot_of_[static_cast<size_t>(ranks[i])] = slots + i;
    }
    for (size_t rank = 0; rank < slot_of_.size(); ++rank) {
      if (slot_of_[rank] == nullptr) asked_.push_back(static_cast<int>(rank));
    }
  }

  // Signals are for the main thread.
  void start() {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { watch(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void watch() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      own().beat();
      if (!asked_.empty()) answer_queries();
      wake_.wait_for(lock, kBeat);
    }
  }

  void answer_queries() {
    std::erase_if(leaving_, [](Leaving& leaving) {
      int sent = 0;
      return MPI_Test(&leaving.request, &sent, MPI_STATUS_IGNORE) == MPI_SUCCESS && sent != 0;
    });
    while (true) {
      int found = 0;
      MPI_Status status;
      if (MPI_Iprobe(MPI_ANY_SOURCE, kQueryTag, talk_, &found, &status) != MPI_SUCCESS) return;
      if (found == 0) return;
      Query query{};
      MPI_Recv(&query, sizeof(query), MPI_BYTE, status.MPI_SOURCE, kQueryTag, talk_,
               MPI_STATUS_IGNORE);
      if (query.reports != 0) note_reporter(status.MPI_SOURCE);
      Leaving& leaving = leaving_.emplace_back();
      Answer& answer = leaving.answer;
      answer.id = query.id;
      answer.rank = rank_;
      answer.status = own().read();
      answer.idle_ms = steady_ms() - answer.status.since_ms;
      own().counts().copy_to(answer.counts);
      MPI_Isend(&answer, sizeof(answer), MPI_BYTE, status.MPI_SOURCE, kAnswerTag, talk_,
                &leaving.request);
    }
  }

  void note_reporter(int rank) {
    int32_t lowest = head_->remote_reporter.load();
    while (rank < lowest && !head_->remote_reporter.compare_exchange_weak(lowest, rank)) {
    }
  }

  void ask(const std::vector<bool>& silent) {
    for (size_t rank = 0; rank < slot_of_.size(); ++rank) {
      if (slot_of_[rank] != nullptr && !silent[rank]) beats_[rank] = slot_of_[rank]->beats();
    }
    // Earlier queries may still be on their way to a host that is cut off.
    queries_.push_back({++query_, head_->reporter.load() == rank_ ? 1 : 0});
    for (const int rank : asked_) {
      MPI_Request request = MPI_REQUEST_NULL;
      MPI_Isend(&queries_.back(), sizeof(Query), MPI_BYTE, rank, kQueryTag, talk_, &request);
      if (request != MPI_REQUEST_NULL) MPI_Request_free(&request);
    }
  }

  void take_answers(std::vector<SeenRank>& seen, const std::vector<bool>& silent) {
    while (!asked_.empty()) {
      int found = 0;
      MPI_Status status;
      if (MPI_Iprobe(MPI_ANY_SOURCE, kAnswerTag, talk_, &found, &status) != MPI_SUCCESS) return;
      if (found == 0) return;
      Answer answer;
      MPI_Recv(&answer, sizeof(answer), MPI_BYTE, status.MPI_SOURCE, kAnswerTag, talk_,
               MPI_STATUS_IGNORE);
      const auto from = static_cast<size_t>(answer.rank);
      if (answer.id != query_ && !silent[from]) continue;  // of an earlier look
      SeenRank& rank = seen[from];
      rank.answers = rank.known = true;
      rank.status = answer.status;
      rank.idle_ms = answer.idle_ms;
      answer.counts.copy_to(rank.counts);
    }
  }

  struct Leaving {
    Answer answer;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  MPI_Comm talk_ = MPI_COMM_NULL;
  int rank_ = 0;
  std::unique_ptr<SharedPage> page_;
  std::unique_ptr<PageHead> alone_head_;
  std::unique_ptr<StatusSlot> alone_slot_;
  PageHead* head_ = nullptr;
  std::vector<StatusSlot*> slot_of_;  // [world]; null where it must be asked
  std::vector<int> asked_;
  std::vector<uint64_t> beats_;  // at the begin of a look
  std::list<Query> queries_;
  int32_t query_ = 0;
  std::list<Leaving> leaving_;  // of the thread
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

std::shared_ptr<WatchedBoard> mpi_board(MPI_Comm local) {
  return std::make_shared<MpiBoard>(local);
}

}  // namespace troupe
