#include "models/parts/part_memory.h"

#include <algorithm>

#include "models/parts/bytes.h"

namespace troupe {

void PartMemory::add(const PartMemory& other) {
  saved += other.saved;
  deferred += other.deferred;
  backward = std::max(backward, other.backward);
  exchanged = std::max(exchanged, other.exchanged);
  scratch = std::max(scratch, other.scratch);
  tables = std::max(tables, other.tables);
}

int64_t MemoryContext::stream(int64_t width) const {
  return allocated(stream_rows() * width * bytes_of(compute));
}

int64_t MemoryContext::rows(int64_t width) const {
  return allocated(rows() * width * bytes_of(compute));
}

int64_t MemoryContext::wide_rows(int64_t width) const {
  return allocated(rows() * width * bytes_of(wide(compute)));
}

}  // namespace troupe
