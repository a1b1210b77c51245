// Tests that run under mpirun: one gtest main that starts MPI (mpi_main.cpp), and its world.
#pragma once

#include "parallel/comm/mpi/mpi_world.h"

namespace troupe::testing {

// The world of all ranks of this test job. Every test is run by every rank in the same order.
MpiWorld& mpi_test_world();

}  // namespace troupe::testing
