// What every call into the HDF5 library needs: the one lock, identifiers that are closed, and
// errors with the library's own reasons. For the files of core/io that wrap HDF5.
#pragma once

#include <hdf5.h>

#include <mutex>
#include <string>
#include <utility>

namespace troupe::hdf5 {

// Held during every call into HDF5. The error stack (per thread in the thread-safe build) is kept
// silent.
class Guard {
 public:
  Guard();

 private:
  std::lock_guard<std::mutex> lock_;
};

// An HDF5 identifier that is closed on the way out. close() reports a failure.
class Handle {
 public:
  Handle(hid_t id, herr_t (*closer)(hid_t)) : id_(id), closer_(closer) {}
  ~Handle() {
    if (id_ >= 0) closer_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  hid_t get() const { return id_; }
  hid_t release() { return std::exchange(id_, -1); }
  bool close() { return closer_(std::exchange(id_, -1)) >= 0; }

 private:
  hid_t id_;
  herr_t (*closer_)(hid_t);
};

// Throws for a failed call. what: "write", "open", ...; place: file and dataset.
[[noreturn]] void fail_hdf5(bool writing, const std::string& what, const std::string& place);
// An identifier or status that says so.
hid_t check(hid_t id, bool writing, const std::string& what, const std::string& place);
void check_status(herr_t status, bool writing, const std::string& what, const std::string& place);

}  // namespace troupe::hdf5
