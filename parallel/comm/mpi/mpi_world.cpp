#include "parallel/comm/mpi/mpi_world.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "core/base/usable_cores.h"
#include "parallel/comm/group_communicator.h"
#include "parallel/comm/mpi/mpi_deadline.h"
#include "parallel/comm/mpi/mpi_transport.h"

namespace troupe {
namespace {

// Ranks of one host talk through its memory, which OpenMPI's own transport (ob1) does. Looking for
// the fast networks of UCX takes each of them 0.2 s before it starts. What the user chose holds.
void look_for_no_network_on_one_host() {
  const char* all = std::getenv("OMPI_COMM_WORLD_SIZE");
  const char* here = std::getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
  if (all == nullptr || here == nullptr || std::string_view(all) != here) return;
  setenv("OMPI_MCA_pml", "ob1", 0);
}

}  // namespace

bool started_by_mpi() {
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"}) {
    if (std::getenv(variable) != nullptr) return true;
  }
  return false;
}

MpiWorld::MpiWorld(const CommOptions& options, std::chrono::milliseconds start_timeout)
    : timeout_name_(options.timeout_name), failed_(std::make_shared<bool>(false)) {
  look_for_no_network_on_one_host();
  const MpiDeadline deadline(start_timeout, options.timeout_name, "the start of MPI",
                             "no operation has begun");
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_MULTIPLE) {
    fail(ExitCode::distributed,
         "this MPI library gives thread level {} and Troupe needs MPI_THREAD_MULTIPLE ({}): use an "
         "MPI built with it, such as Debian's OpenMPI",
         provided, MPI_THREAD_MULTIPLE);
  }
  MPI_Comm local = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &local),
            "MPI_Comm_split_type");
  MPI_Comm_size(local, &local_ranks_);
  // A node is known by the first world rank on it.
  CommOptions here = options;
  MPI_Comm_rank(MPI_COMM_WORLD, &here.node);
  check_mpi(MPI_Bcast(&here.node, 1, MPI_INT, 0, local), "MPI_Bcast");
  board_ = mpi_board(options.share_status ? local : MPI_COMM_SELF);
  MPI_Comm_free(&local);
  // The binding of cores may differ between ranks; the whole host's share decides.
  const bool may_spin = local_ranks_ <= usable_cores();
  communicator_ = GroupCommunicator::of_all(mpi_transport(may_spin, failed_, board_), here);
}

MpiWorld::~MpiWorld() {
  if (*failed_ || std::uncaught_exceptions() > 0) {
    board_->stop();
    return;
  }
  try {
    // After this barrier ranks may leave, and mpirun ends the others when one leaves with a code.
    std::fflush(nullptr);
    communicator_->barrier("end of the job").finish();
  } catch (const Error& error) {
    abort_world(error.code(), error.what());
  }
  board_->stop();
  const MpiDeadline deadline(communicator_->world().timeout(), timeout_name_, "the end of MPI",
                             "the last operation that matched is barrier \"end of the job\"");
  MPI_Finalize();
}

void abort_world(ExitCode code, const std::string& message) {
  // _exit: no destructor of this rank may wait for a peer. OpenMPI takes a rank that leaves before
  // MPI_Finalize for lost, kills the others within seconds and returns the first code.
  std::fprintf(stderr, "%s\n", message.c_str());
  std::fflush(nullptr);
  _exit(static_cast<int>(code));
}

}  // namespace troupe
