// A file that a command writes to a place which the user gives (--out, --svg): it never replaces
// what the command did not make.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace troupe {

struct OutputFile {
  std::string path;    // as given
  std::string option;  // "--out", for messages
  // Whether the file that begins with these bytes (the first kMarkedBytes) is one that the command
  // made before.
  std::function<bool(std::string_view beginning)> ours;
  bool force = false;  // replace any file
  std::string advice = "Choose another file, or give --force to replace it";
};
constexpr size_t kMarkedBytes = 1024;

// Error(usage) where the path names a directory, or a file that is neither empty nor ours, without
// force. A new path, a device and a pipe are taken.
void check_output_file(const OutputFile& target);

// Checks, then replaces the file at once (by a temporary file beside it, .NAME.troupe.tmp); of a
// link what it leads to. A device or pipe is written to. Error(resource) when it cannot be written.
void write_output_file(const OutputFile& target, std::string_view contents);

}  // namespace troupe
