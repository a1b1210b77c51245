#include "parallel/comm/traffic_model.h"

namespace troupe {

int64_t piece_begin(int64_t elements, int rank, int size) {
  const int64_t quotient = elements / size;
  const int64_t remainder = elements % size;
  return quotient * rank + remainder * rank / size;
}

int64_t all_reduce_bytes_sent(int64_t elements, int64_t element_bytes, int rank, int size) {
  if (elements * element_bytes <= kDirectSumBytes) return elements * element_bytes * (size - 1);
  const int64_t own = piece_begin(elements, rank + 1, size) - piece_begin(elements, rank, size);
  // The others' pieces go out unsummed, the own piece goes to each of them summed.
  return ((elements - own) + own * (size - 1)) * element_bytes;
}

int64_t all_reduce_bytes_to(int64_t elements, int64_t element_bytes, int rank, int peer, int size) {
  if (elements * element_bytes <= kDirectSumBytes) return elements * element_bytes;
  const auto piece = [&](int of) {
    return piece_begin(elements, of + 1, size) - piece_begin(elements, of, size);
  };
  return (piece(peer) + piece(rank)) * element_bytes;
}

}  // namespace troupe
