// The directory of a run: made, locked against a second run, and moved aside when it is not to be
// resumed.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/io/directory_lock.h"
#include "parallel/comm/communicator.h"

namespace troupe {

class RunDirectory {
 public:
  // Collective; the leader does the work and all ranks leave the same way. fresh (resume: never): a
  // directory that holds a run is moved to DIR.old-N, beside itself where DIR is a link to it;
  // anything else at that path is refused and
  // left alone (Error(usage)). Not creatable or not writable: Error(resource). Locked by a live
  // run: Error(usage).
  RunDirectory(const std::string& path, bool fresh, Communicator& world);

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
  std::unique_ptr<DirectoryLock> lock_;  // on the leader
};

// Runs f on rank 0; if it throws an Error, every rank of the world throws the same. Collective.
void on_leader(Communicator& world, const std::string& site, const std::function<void()>& f);

}  // namespace troupe
