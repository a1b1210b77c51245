#include "core/io/hdf5/hdf5_file.h"

#include <hdf5.h>

#include <array>
#include <utility>
#include <vector>

#include "core/base/error.h"
#include "core/io/hdf5/hdf5_attribute.h"
#include "core/io/hdf5/hdf5_calls.h"

namespace troupe {
namespace {

using hdf5::check;
using hdf5::check_status;
using hdf5::fail_hdf5;
using hdf5::Guard;
using hdf5::Handle;
using hdf5::text_type;
using hdf5::trimmed;

static_assert(sizeof(hid_t) == sizeof(int64_t));

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
  hdf5::write_attribute(handle_, place_, name, value);
}

void Hdf5Dataset::replace_attribute(const std::string& name, const AttributeValue& value) {
  const Guard guard;
  hdf5::replace_attribute(handle_, place_, name, value);
}

AttributeValue Hdf5Dataset::attribute(const std::string& name) {
  const Guard guard;
  return hdf5::read_attribute(handle_, place_, name);
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
  if (dtype == DType::bf16) hdf5::write_attribute(dataset, place, "dtype", std::string("bf16"));
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
  hdf5::write_attribute(handle_, path_, name, value);
}

AttributeValue Hdf5File::attribute(const std::string& name) {
  const Guard guard;
  return hdf5::read_attribute(handle_, path_, name);
}

void Hdf5File::close() {
  const Guard guard;
  if (writing_) check_status(H5Fflush(handle_, H5F_SCOPE_LOCAL), true, "write", path_);
  check_status(H5Fclose(std::exchange(handle_, -1)), writing_, "close", path_);
}

}  // namespace troupe
