#include "parallel/comm/mpi/mpi_transport.h"

#include <array>
#include <cstring>
#include <vector>

namespace troupe {

void check_mpi(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  fail(ExitCode::distributed, "MPI: {} failed: {}", what, text.data());
}

namespace {

constexpr int kFailureTag = 1;
// A failed rank's message: who, which exit code, and the beginning of the cause.
struct Failure {
  int32_t rank;
  int32_t code;
  std::array<char, 1000> cause;
};

class MpiTransfer final : public Transfer {
 public:
  // expected: bytes of a receive, -1 for a send.
  MpiTransfer(MPI_Request request, int own, int peer, int64_t expected)
      : request_(request), own_(own), peer_(peer), expected_(expected) {}
  ~MpiTransfer() override {
    if (request_ == MPI_REQUEST_NULL) return;
    // Only after a failure: this rank is about to leave.
    MPI_Cancel(&request_);
    MPI_Request_free(&request_);
  }
  bool done() override {
    if (request_ == MPI_REQUEST_NULL) return true;
    int finished = 0;
    MPI_Status status;
    const int code = MPI_Test(&request_, &finished, &status);
    int error_class = MPI_SUCCESS;
    if (code != MPI_SUCCESS) MPI_Error_class(code, &error_class);
    if (error_class == MPI_ERR_TRUNCATE) throw SizeMismatch(peer_, -1, own_, expected_);
    check_mpi(code, "MPI_Test");
    if (finished == 0) return false;
    if (expected_ >= 0) {
      int count = 0;
      MPI_Get_count(&status, MPI_BYTE, &count);
      if (count != expected_) throw SizeMismatch(peer_, count, own_, expected_);
    }
    return true;
  }

 private:
  MPI_Request request_;
  int own_;
  int peer_;
  int64_t expected_;
};

class MpiTransport final : public Transport {
 public:
  MpiTransport(bool may_spin, std::shared_ptr<bool> failed, std::shared_ptr<WatchedBoard> board)
      : may_spin_(may_spin), failed_(std::move(failed)), board_(std::move(board)) {
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &data_), "MPI_Comm_dup");
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &control_), "MPI_Comm_dup");
    MPI_Comm_set_errhandler(data_, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(control_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(data_, &rank_);
    MPI_Comm_size(data_, &size_);
  }
  // The copies of MPI_COMM_WORLD are left to MPI_Finalize: freeing them is collective.

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::unique_ptr<Transfer> start_send(int to, const void* data, int64_t bytes, int tag) override {
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Isend(data, count(bytes), MPI_BYTE, to, tag, data_, &request), "MPI_Isend");
    return std::make_unique<MpiTransfer>(request, rank_, to, -1);
  }
  std::unique_ptr<Transfer> start_receive(int from, void* data, int64_t bytes, int tag) override {
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(MPI_Irecv(data, count(bytes), MPI_BYTE, from, tag, data_, &request), "MPI_Irecv");
    return std::make_unique<MpiTransfer>(request, rank_, from, bytes);
  }

  void check() override {
    if (*failed_) throw_cause();
    // Asking is not free; failures are rare.
    if (++checks_ % 64 != 0) return;
    int found = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, kFailureTag, control_, &found, &status);
    if (found == 0) return;
    MPI_Recv(&failure_, sizeof(failure_), MPI_BYTE, status.MPI_SOURCE, kFailureTag, control_,
             MPI_STATUS_IGNORE);
    *failed_ = true;
    throw_cause();
  }

  void poison(const std::string& cause, ExitCode code) override {
    if (*failed_) return;
    *failed_ = true;
    failure_ = {rank_, static_cast<int32_t>(code), {}};
    std::strncpy(failure_.cause.data(), cause.c_str(), failure_.cause.size() - 1);
    for (int peer = 0; peer < size_; ++peer) {
      if (peer == rank_) continue;
      MPI_Request request = MPI_REQUEST_NULL;
      MPI_Isend(&failure_, sizeof(failure_), MPI_BYTE, peer, kFailureTag, control_, &request);
      if (request != MPI_REQUEST_NULL) MPI_Request_free(&request);
    }
  }
  StatusBoard* board() override { return board_.get(); }
  bool may_spin() const override { return may_spin_; }

 private:
  static int count(int64_t bytes) {
    require(bytes >= 0 && bytes <= INT32_MAX, "an MPI message of {} bytes", bytes);
    return static_cast<int>(bytes);
  }
  [[noreturn]] void throw_cause() const {
    fail(static_cast<ExitCode>(failure_.code), "rank {} failed: {}", failure_.rank,
         failure_.cause.data());
  }

  bool may_spin_;
  std::shared_ptr<bool> failed_;
  std::shared_ptr<WatchedBoard> board_;
  MPI_Comm data_ = MPI_COMM_NULL;
  MPI_Comm control_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  uint32_t checks_ = 0;
  Failure failure_{};
};

}  // namespace

std::unique_ptr<Transport> mpi_transport(bool may_spin, std::shared_ptr<bool> failed,
                                         std::shared_ptr<WatchedBoard> board) {
  return std::make_unique<MpiTransport>(may_spin, std::move(failed), std::move(board));
}

}  // namespace troupe
