#include "core/text/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/error.h"

namespace troupe {

MappedFile::MappedFile(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) fail(ExitCode::data, "{}: cannot be opened: {}", path, std::strerror(errno));
  const std::shared_ptr<void> closer(nullptr, [file](void*) { ::close(file); });
  struct stat status {};
  if (::fstat(file, &status) != 0)
    fail(ExitCode::data, "{}: cannot be read: {}", path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(ExitCode::data, "{}: is not a regular file", path);
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return;
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  if (data == MAP_FAILED)
    fail(ExitCode::data, "{}: cannot be mapped: {}", path, std::strerror(errno));
  owner_ = std::shared_ptr<const void>(
      data, [size](const void* mapped) { ::munmap(const_cast<void*>(mapped), size); });
  bytes_ = {static_cast<const char*>(data), size};
}

}  // namespace troupe
