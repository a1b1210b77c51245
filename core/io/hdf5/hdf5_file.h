// HDF5 files; with hdf5_calls and hdf5_attribute, which serve it, the only place that calls the
// HDF5 library. Every return code is checked, close included; HDF5 prints nothing, its cause is in
// our message. The library is not safe for threads of one process in every build, so one mutex
// (hdf5_calls.h) guards all calls.
//
// File locking is switched off (H5Pset_file_locking): HDF5's locks fail on NFS and Lustre, and
// Troupe writes under a private temporary name below a locked run directory. The environment
// variable HDF5_USE_FILE_LOCKING still overrides this.
//
// Errors: Error(resource) when writing fails (disk full, read-only), Error(checkpoint) when reading
// does; both name the file and the dataset.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace troupe {

using AttributeValue = std::variant<int64_t, double, std::string>;

// A plain contiguous dataset, little-endian, without filters. bf16 is stored as unsigned 16-bit
// words with the attribute dtype = "bf16", because HDF5 1.10 has no such type and its conversion to
// 16-bit floats is wrong.
class Hdf5Dataset {
 public:
  Hdf5Dataset(Hdf5Dataset&&) noexcept;
  ~Hdf5Dataset();
  // A row-major box of the dataset. Shape{} and Shape{} for a scalar dataset.
  void write(const Shape& offset, const Shape& size, const void* data);
  void read(const Shape& offset, const Shape& size, void* data);
  void set_attribute(const std::string& name, const AttributeValue& value);
  // Overwrites an attribute by a value of the same type and length; nothing moves in the file.
  void replace_attribute(const std::string& name, const AttributeValue& value);
  AttributeValue attribute(const std::string& name);
  DType dtype();
  Shape shape();
  // Where the first byte stands in the file; 0 for an empty dataset.
  int64_t file_offset();
  // Call it after writing: the destructor cannot report a failure.
  void close();

 private:
  friend class Hdf5File;
  Hdf5Dataset(int64_t handle, std::string place, bool writing)
      : handle_(handle), place_(std::move(place)), writing_(writing) {}
  int64_t handle_;
  std::string place_;  // "FILE: /path", for messages
  bool writing_;
};

class Hdf5File {
 public:
  // Replaces the file. The first `user_block` bytes (0 or a power of two >= 512) are left to the
  // caller. No time stamps are stored: the same contents give the same bytes.
  static Hdf5File create(const std::string& path, int64_t user_block);
  static Hdf5File open(const std::string& path);  // read only
  // To overwrite what is there; errors are those of writing.
  static Hdf5File open_to_change(const std::string& path);
  Hdf5File(Hdf5File&&) noexcept;
  ~Hdf5File();

  // Missing groups of the path are made.
  Hdf5Dataset create_dataset(const std::string& path, DType dtype, const Shape& shape);
  Hdf5Dataset dataset(const std::string& path);
  // A text as a scalar dataset of fixed length (at least 1: an empty text is one zero byte).
  // Returns where its bytes stand in the file.
  int64_t write_text(const std::string& path, std::string_view text);
  std::string read_text(const std::string& path);
  void set_attribute(const std::string& name, const AttributeValue& value);  // of the root group
  AttributeValue attribute(const std::string& name);
  // Flushes and closes; throws when any byte could not be written.
  void close();

 private:
  Hdf5File(int64_t handle, std::string path, bool writing)
      : handle_(handle), path_(std::move(path)), writing_(writing) {}
  int64_t handle_;
  std::string path_;
  bool writing_;
};

}  // namespace troupe
