// Attributes of HDF5 objects, and the texts that they and datasets hold. The lock is the caller's.
#pragma once

#include <hdf5.h>

#include <string>

#include "core/io/hdf5/hdf5_file.h"

namespace troupe::hdf5 {

// UTF-8 of a fixed number of bytes, filled up with zero bytes. The caller closes it; -1: failed.
hid_t text_type(size_t bytes);
// Without these zero bytes.
std::string trimmed(std::string text);

// place: of the object, for messages.
void write_attribute(hid_t object, const std::string& place, const std::string& name,
                     const AttributeValue& value);
// Overwrites by a value of the same type and length.
void replace_attribute(hid_t object, const std::string& place, const std::string& name,
                       const AttributeValue& value);
AttributeValue read_attribute(hid_t object, const std::string& place, const std::string& name);

}  // namespace troupe::hdf5
