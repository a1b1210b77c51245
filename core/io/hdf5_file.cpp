#include "core/io/hdf5_file.h"

#include <hdf5.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <mutex>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/io/atomic_file.h"

namespace troupe {
namespace {

static_assert(sizeof(hid_t) == sizeof(int64_t));

// HDF5 is one library with one state per process, so its lock is one per process too.
std::mutex& library_mutex() {
  static std::mutex mutex;
  return mutex;
}

// Held during every call into HDF5. The error stack (per thread in the thread-safe build) is kept
// silent.
class Guard {
 public:
  Guard() : lock_(library_mutex()) {
    // Before the first call: HDF5's own clean-up at exit crashes when a file could not be closed
    // on a full disk. Every file is closed here, so there is nothing to clean up.
    static const herr_t without_exit_handler = H5dont_atexit();
    static_cast<void>(without_exit_handler);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }

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

// Throws for a failed call. what: "write", "open", ...; place: file and dataset.
[[noreturn]] void fail_hdf5(bool writing, const std::string& what, const std::string& place) {
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

hid_t file_type(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return H5T_IEEE_F64LE;
    case DType::f32:
      return H5T_IEEE_F32LE;
    case DType::bf16:
      return H5T_STD_U16LE;
    case DType::i64:
      return H5T_STD_I64LE;
    case DType::i32:
      return H5T_STD_I32LE;
    case DType::u8:
      return H5T_STD_U8LE;
  }
  return -1;
}

// The file's type says how many bytes; memory has the same type, so nothing is converted.
struct Extent {
  std::array<hsize_t, kMaxRank> sizes{};
  int rank = 0;
  explicit Extent(const Shape& shape) : rank(shape.rank()) {
    for (int i = 0; i < rank; ++i) sizes[static_cast<size_t>(i)] = static_cast<hsize_t>(shape[i]);
  }
  const hsize_t* data() const { return sizes.data(); }
};

hid_t make_space(const Shape& shape) {
  if (shape.rank() == 0) return H5Screate(H5S_SCALAR);
  const Extent extent(shape);
  return H5Screate_simple(extent.rank, extent.data(), nullptr);
}

// No fill values (every byte is written anyway), no clock, space at creation.
hid_t creation_properties() {
  const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
  if (list < 0) return list;
  const bool good = H5Pset_layout(list, H5D_CONTIGUOUS) >= 0 &&
                    H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY) >= 0 &&
                    H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0 &&
                    H5Pset_obj_track_times(list, false) >= 0;
  if (good) return list;
  H5Pclose(list);
  return -1;
}

// Link creation that makes the groups of a path on the way.
hid_t link_properties() {
  const hid_t list = H5Pcreate(H5P_LINK_CREATE);
  if (list < 0 || H5Pset_create_intermediate_group(list, 1) >= 0) return list;
  H5Pclose(list);
  return -1;
}

hid_t access_properties() {
  const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
  if (list < 0) return list;
  // Strong close: nothing stays open behind a closed file. No sieve buffer: with it a full disk is
  // reported by H5Dclose at the earliest.
  const bool good = H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) >= 0 &&
                    H5Pset_sieve_buf_size(list, 0) >= 0 &&
                    H5Pset_file_locking(list, false, true) >= 0;
  if (good) return list;
  H5Pclose(list);
  return -1;
}

hid_t text_type(size_t bytes) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  if (type < 0) return type;
  const bool good = H5Tset_size(type, bytes) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0 &&
                    H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0;
  if (good) return type;
  H5Tclose(type);
  return -1;
}

hid_t attribute_type(const AttributeValue& value) {
  if (std::holds_alternative<int64_t>(value)) return H5Tcopy(H5T_STD_I64LE);
  if (std::holds_alternative<double>(value)) return H5Tcopy(H5T_IEEE_F64LE);
  return text_type(std::max<size_t>(1, std::get<std::string>(value).size()));
}

const void* bytes_of(const AttributeValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return integer;
  if (const auto* real = std::get_if<double>(&value)) return real;
  return std::get<std::string>(value).c_str();
}

void write_attribute(hid_t object, const std::string& place, const std::string& name,
                     const AttributeValue& value) {
  const std::string at = place + " @" + name;
  Handle type(check(attribute_type(value), true, "write", at), H5Tclose);
  Handle space(check(H5Screate(H5S_SCALAR), true, "write", at), H5Sclose);
  Handle attribute(
      check(H5Acreate2(object, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
            true, "write", at),
      H5Aclose);
  check_status(H5Awrite(attribute.get(), type.get(), bytes_of(value)), true, "write", at);
  if (!attribute.close()) fail_hdf5(true, "write", at);
}

void replace_value(hid_t object, const std::string& place, const std::string& name,
                   const AttributeValue& value) {
  const std::string at = place + " @" + name;
  Handle attribute(check(H5Aopen(object, name.c_str(), H5P_DEFAULT), true, "write", at), H5Aclose);
  Handle type(check(attribute_type(value), true, "write", at), H5Tclose);
  Handle there(check(H5Aget_type(attribute.get()), true, "write", at), H5Tclose);
  require(H5Tequal(type.get(), there.get()) > 0, "{} is replaced by a value of another size", at);
  check_status(H5Awrite(attribute.get(), type.get(), bytes_of(value)), true, "write", at);
  if (!attribute.close()) fail_hdf5(true, "write", at);
}

std::string trimmed(std::string text) {
  while (!text.empty() && text.back() == 0) text.pop_back();
  return text;
}

AttributeValue read_attribute(hid_t object, const std::string& place, const std::string& name) {
  const std::string at = place + " @" + name;
  Handle attribute(check(H5Aopen(object, name.c_str(), H5P_DEFAULT), false, "read", at), H5Aclose);
  Handle type(check(H5Aget_type(attribute.get()), false, "read", at), H5Tclose);
  if (H5Tget_class(type.get()) == H5T_STRING) {
    const size_t bytes = H5Tget_size(type.get());
    if (bytes == 0 || bytes > (1 << 20) || H5Tis_variable_str(type.get()) != 0) {
      fail(ExitCode::checkpoint, "{} is a text of {} bytes, which Troupe does not write.", at,
           bytes);
    }
    std::string text(bytes, 0);
    check_status(H5Aread(attribute.get(), type.get(), text.data()), false, "read", at);
    return trimmed(std::move(text));
  }
  if (H5Tget_class(type.get()) == H5T_INTEGER) {
    int64_t value = 0;
    check_status(H5Aread(attribute.get(), H5T_NATIVE_INT64, &value), false, "read", at);
    return value;
  }
  double value = 0;
  check_status(H5Aread(attribute.get(), H5T_NATIVE_DOUBLE, &value), false, "read", at);
  return value;
}

Shape shape_of(hid_t dataset, const std::string& place) {
  Handle space(check(H5Dget_space(dataset), false, "read", place), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space.get());
  if (rank < 0 || rank > kMaxRank) {
    fail(ExitCode::checkpoint, "{} has {} dims; Troupe writes 0 to {}.", place, rank, kMaxRank);
  }
  std::array<hsize_t, kMaxRank> sizes{};
  if (H5Sget_simple_extent_dims(space.get(), sizes.data(), nullptr) < 0) {
    fail_hdf5(false, "read", place);
  }
  Shape shape;
  for (int i = 0; i < rank; ++i) shape.append(static_cast<int64_t>(sizes[static_cast<size_t>(i)]));
  return shape;
}

// Selects the box in `space`; memory is the box alone, row-major.
void select(hid_t space, const Shape& offset, const Shape& size, bool writing,
            const std::string& place) {
  if (size.rank() == 0) return;
  const Extent start(offset);
  const Extent count(size);
  check_status(
      H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr),
      writing, "select a part of", place);
}

}  // namespace

Hdf5Dataset::Hdf5Dataset(Hdf5Dataset&& other) noexcept
    : handle_(std::exchange(other.handle_, -1)),
      place_(std::move(other.place_)),
      writing_(other.writing_) {}

Hdf5Dataset::~Hdf5Dataset() {
  if (handle_ < 0) return;
  const Guard guard;
  H5Dclose(handle_);
}

void Hdf5Dataset::close() {
  const Guard guard;
  check_status(H5Dclose(std::exchange(handle_, -1)), writing_, "close", place_);
}

void Hdf5Dataset::write(const Shape& offset, const Shape& size, const void* data) {
  if (size.elements() == 0) return;
  const Guard guard;
  Handle type(check(H5Dget_type(handle_), true, "write", place_), H5Tclose);
  Handle space(check(H5Dget_space(handle_), true, "write", place_), H5Sclose);
  Handle memory(check(make_space(size), true, "write", place_), H5Sclose);
  select(space.get(), offset, size, true, place_);
  check_status(H5Dwrite(handle_, type.get(), memory.get(), space.get(), H5P_DEFAULT, data), true,
               "write", place_);
}

void Hdf5Dataset::read(const Shape& offset, const Shape& size, void* data) {
  if (size.elements() == 0) return;
  const Guard guard;
  Handle type(check(H5Dget_type(handle_), false, "read", place_), H5Tclose);
  Handle space(check(H5Dget_space(handle_), false, "read", place_), H5Sclose);
  Handle memory(check(make_space(size), false, "read", place_), H5Sclose);
  select(space.get(), offset, size, false, place_);
  check_status(H5Dread(handle_, type.get(), memory.get(), space.get(), H5P_DEFAULT, data), false,
               "read", place_);
}

void Hdf5Dataset::set_attribute(const std::string& name, const AttributeValue& value) {
  const Guard guard;
  write_attribute(handle_, place_, name, value);
}

void Hdf5Dataset::replace_attribute(const std::string& name, const AttributeValue& value) {
  const Guard guard;
  replace_value(handle_, place_, name, value);
}

AttributeValue Hdf5Dataset::attribute(const std::string& name) {
  const Guard guard;
  return read_attribute(handle_, place_, name);
}

DType Hdf5Dataset::dtype() {
  const Guard guard;
  Handle type(check(H5Dget_type(handle_), false, "read", place_), H5Tclose);
  for (const DType candidate :
       {DType::f64, DType::f32, DType::bf16, DType::i64, DType::i32, DType::u8}) {
    if (H5Tequal(type.get(), file_type(candidate)) > 0) return candidate;
  }
  fail(ExitCode::checkpoint, "{} has an element type that Troupe does not write.", place_);
}

Shape Hdf5Dataset::shape() {
  const Guard guard;
  return shape_of(handle_, place_);
}

int64_t Hdf5Dataset::file_offset() {
  const Guard guard;
  const haddr_t address = H5Dget_offset(handle_);
  H5Eclear2(H5E_DEFAULT);
  return address == HADDR_UNDEF ? 0 : static_cast<int64_t>(address);
}

Hdf5File::Hdf5File(Hdf5File&& other) noexcept
    : handle_(std::exchange(other.handle_, -1)),
      path_(std::move(other.path_)),
      writing_(other.writing_) {}

Hdf5File::~Hdf5File() {
  if (handle_ < 0) return;
  const Guard guard;
  H5Fclose(handle_);
}

Hdf5File Hdf5File::create(const std::string& path, int64_t user_block) {
  const Guard guard;
  Handle creation(check(H5Pcreate(H5P_FILE_CREATE), true, "create", path), H5Pclose);
  check_status(H5Pset_userblock(creation.get(), static_cast<hsize_t>(user_block)), true, "create",
               path);
  check_status(H5Pset_obj_track_times(creation.get(), false), true, "create", path);
  Handle access(check(access_properties(), true, "create", path), H5Pclose);
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get());
  return {check(file, true, "create", path), path, true};
}

Hdf5File Hdf5File::open(const std::string& path) {
  const Guard guard;
  Handle access(check(access_properties(), false, "open", path), H5Pclose);
  return {check(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), false, "open", path), path,
          false};
}

Hdf5File Hdf5File::open_to_change(const std::string& path) {
  const Guard guard;
  Handle access(check(access_properties(), true, "open", path), H5Pclose);
  return {check(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), true, "open", path), path, true};
}

Hdf5Dataset Hdf5File::create_dataset(const std::string& path, DType dtype, const Shape& shape) {
  const std::string place = path_ + ": " + path;
  const Guard guard;
  Handle space(check(make_space(shape), true, "create", place), H5Sclose);
  Handle links(check(link_properties(), true, "create", place), H5Pclose);
  Handle creation(check(creation_properties(), true, "create", place), H5Pclose);
  const hid_t dataset = H5Dcreate2(handle_, path.c_str(), file_type(dtype), space.get(),
                                   links.get(), creation.get(), H5P_DEFAULT);
  Hdf5Dataset out(check(dataset, true, "create", place), place, true);
  if (dtype == DType::bf16) write_attribute(dataset, place, "dtype", std::string("bf16"));
  return out;
}

Hdf5Dataset Hdf5File::dataset(const std::string& path) {
  const std::string place = path_ + ": " + path;
  const Guard guard;
  return {check(H5Dopen2(handle_, path.c_str(), H5P_DEFAULT), writing_, "open", place), place,
          writing_};
}

int64_t Hdf5File::write_text(const std::string& path, std::string_view text) {
  const std::string place = path_ + ": " + path;
  const std::string bytes = text.empty() ? std::string(1, 0) : std::string(text);
  const Guard guard;
  Handle type(check(text_type(bytes.size()), true, "create", place), H5Tclose);
  Handle space(check(H5Screate(H5S_SCALAR), true, "create", place), H5Sclose);
  Handle links(check(link_properties(), true, "create", place), H5Pclose);
  Handle creation(check(creation_properties(), true, "create", place), H5Pclose);
  Handle dataset(check(H5Dcreate2(handle_, path.c_str(), type.get(), space.get(), links.get(),
                                  creation.get(), H5P_DEFAULT),
                       true, "create", place),
                 H5Dclose);
  check_status(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()),
               true, "write", place);
  const haddr_t address = H5Dget_offset(dataset.get());
  if (address == HADDR_UNDEF) fail_hdf5(true, "place", place);
  if (!dataset.close()) fail_hdf5(true, "close", place);
  return static_cast<int64_t>(address);
}

std::string Hdf5File::read_text(const std::string& path) {
  const std::string place = path_ + ": " + path;
  const Guard guard;
  Handle dataset(check(H5Dopen2(handle_, path.c_str(), H5P_DEFAULT), false, "open", place),
                 H5Dclose);
  Handle type(check(H5Dget_type(dataset.get()), false, "read", place), H5Tclose);
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0) {
    fail(ExitCode::checkpoint, "{} is not a text of fixed length.", place);
  }
  if (shape_of(dataset.get(), place).rank() != 0) {
    fail(ExitCode::checkpoint, "{} is not a single text.", place);
  }
  std::string text(H5Tget_size(type.get()), 0);
  check_status(H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, text.data()),
               false, "read", place);
  return trimmed(std::move(text));
}

void Hdf5File::set_attribute(const std::string& name, const AttributeValue& value) {
  const Guard guard;
  write_attribute(handle_, path_, name, value);
}

AttributeValue Hdf5File::attribute(const std::string& name) {
  const Guard guard;
  return read_attribute(handle_, path_, name);
}

void Hdf5File::close() {
  const Guard guard;
  if (writing_) check_status(H5Fflush(handle_, H5F_SCOPE_LOCAL), true, "write", path_);
  check_status(H5Fclose(std::exchange(handle_, -1)), writing_, "close", path_);
}

}  // namespace troupe
