// What a run has made in its folder of checkpoints, and therefore may remove again. A file of the
// same name that somebody else put there is none of it: a file is known by its name and the digest
// of its seal, a folder of shards by its name.
//
// FOLDER/.made:
//   file <digest of the seal> step-00001200.h5
//   folder step-00001200.shards
#pragma once

#include <set>
#include <string>
#include <utility>

#include "core/io/hash.h"

namespace troupe::checkpoint {

inline const std::string kOwnFilesList = ".made";
// What a newer start puts behind the name of a checkpoint that it does not go on from.
inline const std::string kSupersededEnd = ".superseded";

class OwnFiles {
 public:
  // Reads the list; empty where there is none. Error(resource) when it cannot be read.
  explicit OwnFiles(std::string folder);
  // Said before the file or folder gets its name: a kill in between must not leave what nobody
  // removes. Error(resource) when it cannot be written.
  void add_file(const std::string& name, const Digest& seal);
  void add_folder(const std::string& name);
  // NAME or NAME.superseded in the folder is what this run made under that name.
  bool made_file(const std::string& name) const;
  bool made_folder(const std::string& name) const { return folders_.count(name) != 0; }
  // Forgets what is no longer there: a file that comes back is somebody's.
  void forget_missing();

 private:
  void read();
  void write() const;

  std::string folder_;
  std::set<std::pair<std::string, std::string>> files_;  // name, digest
  std::set<std::string> folders_;
};

// Called when a training starts, before it writes anything. A run that was made when there was no
// such list has one from now on: with all of its checkpoints if `earlier` (it has trained before),
// else an empty one.
void begin_own_files(const std::string& folder, bool earlier);

}  // namespace troupe::checkpoint
