// What can be set when a world of ranks is made.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace troupe {

struct CommOptions {
  // Deadline of every wait (`runtime.timeout`).
  std::chrono::milliseconds timeout = std::chrono::minutes(10);
  // What messages call it: the words of whoever sets it.
  std::string timeout_name = "the timeout";
  // The largest single message; longer ones are sent in pieces (MPI counts are ints).
  int64_t chunk_bytes = int64_t{1} << 30;
  // Sums are done piece by piece, each rank's piece in segments of this size: bounds the scratch
  // memory and overlaps adding with sending. No influence on bits.
  int64_t segment_bytes = int64_t{256} << 10;
  // Compare every operation with those of the other ranks first (`runtime.check_collectives`).
  bool check_collectives = false;
  // Under mpirun: see what the ranks of this host do through shared memory. false: ask them, as if
  // each were on a host of its own (for tests).
  bool share_status = true;
  // Where this rank runs: ranks with the same number share memory.
  int node = 0;
};

}  // namespace troupe
