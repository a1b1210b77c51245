#include "core/io/hdf5/hdf5_calls.h"

#include <charconv>

#include "core/base/error.h"
#include "core/io/atomic_file.h"

namespace troupe::hdf5 {
namespace {

// HDF5 is one library with one state per process, so its lock is one per process too.
std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

herr_t collect(unsigned, const H5E_error2_t* error, void* out) {
  auto& text = *static_cast<std::string*>(out);
  if (error->desc != nullptr && error->desc[0] != 0) {
    if (!text.empty()) text += "; ";
    text += error->desc;
  }
  return 0;
}

// The library's reasons, innermost first, and the errno among them (0: none).
std::string cause(int& errno_value) {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect, &text);
  H5Eclear2(H5E_DEFAULT);
  errno_value = 0;
  const std::string key = "errno = ";
  if (const size_t at = text.find(key); at != std::string::npos) {
    std::from_chars(text.data() + at + key.size(), text.data() + text.size(), errno_value);
  }
  if (text.size() > 300) text.resize(300);
  return text.empty() ? "HDF5 gives no reason" : text;
}

}  // namespace

Guard::Guard() : lock_(library_mutex()) {
  // Before the first call: HDF5's own clean-up at exit crashes when a file could not be closed
  // on a full disk. Every file is closed here, so there is nothing to clean up.
  static const herr_t without_exit_handler = H5dont_atexit();
  static_cast<void>(without_exit_handler);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

void fail_hdf5(bool writing, const std::string& what, const std::string& place) {
  int errno_value = 0;
  const std::string text = cause(errno_value);
  if (writing && errno_value != 0) fail_io(what, place, errno_value);
  if (writing) fail(ExitCode::resource, "cannot {} {}: {}.", what, place, text);
  fail(ExitCode::checkpoint, "cannot {} {}: {}. The file may be damaged.", what, place, text);
}

hid_t check(hid_t id, bool writing, const std::string& what, const std::string& place) {
  if (id < 0) fail_hdf5(writing, what, place);
  return id;
}
void check_status(herr_t status, bool writing, const std::string& what, const std::string& place) {
  if (status < 0) fail_hdf5(writing, what, place);
}

}  // namespace troupe::hdf5
