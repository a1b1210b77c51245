// Messages by MPI. Only the files of this folder include this and mpi.h.
#pragma once

// Without the C++ bindings of MPI-2, which would ask for another library.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <memory>

#include "parallel/comm/status_board.h"
#include "parallel/comm/transport.h"

namespace troupe {

// A board with a thread that shows that this rank lives.
class WatchedBoard : public StatusBoard {
 public:
  // Before MPI_Finalize.
  virtual void stop() = 0;
};

// `*failed` becomes true when this rank has failed or learned of a failure. Takes its own copies of
// MPI_COMM_WORLD: call on all ranks.
std::unique_ptr<Transport> mpi_transport(bool may_spin, std::shared_ptr<bool> failed,
                                         std::shared_ptr<WatchedBoard> board);

// local: the ranks that share memory with this one. Collective over MPI_COMM_WORLD.
std::shared_ptr<WatchedBoard> mpi_board(MPI_Comm local);

// Throws Error(distributed) with MPI's text for a code other than MPI_SUCCESS.
void check_mpi(int code, const char* what);

}  // namespace troupe
