#include "core/io/hdf5/hdf5_attribute.h"

#include <algorithm>
#include <utility>

#include "core/base/error.h"
#include "core/io/hdf5/hdf5_calls.h"

namespace troupe::hdf5 {
namespace {

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

}  // namespace

hid_t text_type(size_t bytes) {
  const hid_t type = H5Tcopy(H5T_C_S1);
  if (type < 0) return type;
  const bool good = H5Tset_size(type, bytes) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0 &&
                    H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0;
  if (good) return type;
  H5Tclose(type);
  return -1;
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

void replace_attribute(hid_t object, const std::string& place, const std::string& name,
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

}  // namespace troupe::hdf5
