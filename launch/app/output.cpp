#include "launch/app/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace troupe::output {
namespace {

// A process has one standard output, so it has one first failure. stdio keeps only that there was
// one.
int& first_failure() {
  static int failure = 0;
  return failure;
}

void note(bool written) {
  if (!written && first_failure() == 0) first_failure() = errno == 0 ? EIO : errno;
}

}  // namespace

void write(std::string_view text) {
  errno = 0;
  note(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

void flush() {
  errno = 0;
  note(std::fflush(stdout) == 0);
}

void open_standard_descriptors() {
  int descriptor = 0;
  do {
    descriptor = ::open("/dev/null", O_RDWR);  // the lowest number that is free
  } while (descriptor >= 0 && descriptor <= STDERR_FILENO);
  if (descriptor > STDERR_FILENO) ::close(descriptor);
}

int finish() {
  flush();
  note(std::ferror(stdout) == 0);
  return first_failure();
}

}  // namespace troupe::output
