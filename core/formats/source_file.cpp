#include "core/formats/source_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.h"

namespace troupe {

PosixFile open_source(const std::string& path) {
  struct stat status {};
  // Looked at before it is opened: a pipe would wait for its writer.
  if (::stat(path.c_str(), &status) != 0)
    fail(ExitCode::checkpoint, "cannot read {}: {}. Check the path", path, std::strerror(errno));
  if (!S_ISREG(status.st_mode))
    fail(ExitCode::checkpoint, "cannot read {}: it is no regular file", path);
  try {
    return PosixFile::open(path, O_RDONLY, "read");
  } catch (const Error& error) {
    throw Error(ExitCode::checkpoint, error.what());
  }
}

std::string read_source(const std::string& path, int64_t most_bytes) {
  const PosixFile file = open_source(path);
  const int64_t bytes = file.size();
  if (bytes > most_bytes) {
    fail(ExitCode::checkpoint, "{}: has {} bytes; files of this kind are read up to {}", path,
         bytes, most_bytes);
  }
  std::string text(static_cast<size_t>(bytes), '\0');
  text.resize(static_cast<size_t>(file.read_at(0, text.data(), bytes)));
  return text;
}

}  // namespace troupe
