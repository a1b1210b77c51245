// Bytes that one rank sends to others in each collective, as pure functions: what `check` predicts
// and what the counters count.
#pragma once

#include <cstdint>

namespace troupe {

// A sum of up to this many bytes is done in one hop: every rank sends all of it to every other.
constexpr int64_t kDirectSumBytes = 2048;

// Rank `rank` of `size` sums the elements [piece_begin(rank), piece_begin(rank + 1)).
int64_t piece_begin(int64_t elements, int rank, int size);

int64_t all_reduce_bytes_sent(int64_t elements, int64_t element_bytes, int rank, int size);
// Of these to one of the others.
int64_t all_reduce_bytes_to(int64_t elements, int64_t element_bytes, int rank, int peer, int size);

}  // namespace troupe
