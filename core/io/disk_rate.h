// How fast a disk takes and gives bytes: the limit that the speed of a checkpoint is printed
// beside.
#pragma once

#include <cstdint>
#include <string>

namespace troupe {

struct DiskRate {
  double write = 0;  // bytes per second of one sequential write with fsync
  double read = 0;   // of one sequential read, the file not in the page cache where that can be had
};

// Writes, reads and removes one file of `bytes` in `directory`. Throws Error(resource) when the
// disk is full or the directory cannot be written to.
DiskRate disk_rate(const std::string& directory, int64_t bytes);

// Asks the system to forget the cached pages of a file that is on the disk, so that the next read
// is from the disk. File systems in memory keep theirs.
void forget_cached(const std::string& path);

}  // namespace troupe
