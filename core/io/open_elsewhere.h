// A file that another program has open for writing: what it reads as now says nothing about it.
#pragma once

#include <string>

#include "core/base/error.h"

namespace troupe {

class OpenElsewhere : public Error {
 public:
  explicit OpenElsewhere(const std::string& message) : Error(ExitCode::checkpoint, message) {}
};

// Throws OpenElsewhere when another program writes the file: HDF5 holds a lock on what it has open
// for writing, and marks it in its first structure until it is closed. Called once a file has
// turned out to be unreadable. Does nothing for a file that cannot be opened or has no such signs.
void refuse_if_open_elsewhere(const std::string& path);

}  // namespace troupe
