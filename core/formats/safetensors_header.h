// The header of a safetensors file: JSON, read event by event, so that memory grows with its
// tensors only.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/formats/saved_tensor.h"

namespace troupe {

// Appends tensors in the order of the header, offsets counted from its end. data_bytes: what the
// file has behind it. Error(checkpoint), with `path`, when the header is not of the format or a
// tensor lies outside the data, has an unknown type or bytes that are not those of its shape.
void parse_safetensors_header(std::string_view header, const std::string& path, int64_t data_bytes,
                              std::vector<SavedTensor>& tensors,
                              std::map<std::string, std::string>& metadata);

// The header of tensors whose offsets count from its end, padded so that elements are aligned.
std::string safetensors_header(const std::vector<SavedTensor>& tensors,
                               const std::map<std::string, std::string>& metadata);

}  // namespace troupe
