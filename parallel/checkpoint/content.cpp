#include "parallel/checkpoint/content.h"

#include <fmt/core.h>

#include <map>

namespace troupe::checkpoint {

Digest content_digest(const Info& info) {
  std::map<std::string, std::string> lines;  // by name
  for (const StateScalar& scalar : info.scalars) lines["scalar " + scalar.name] = text(scalar);
  for (const TensorInfo& tensor : info.tensors) {
    lines["tensor " + tensor.name] =
        fmt::format("{} {} {}", name(tensor.dtype), tensor.shape.text(), tensor.digest.hex());
  }
  Hasher hasher;
  for (const auto& [key, value] : lines) hasher.add(key + " " + value + "\n");
  return hasher.digest();
}

}  // namespace troupe::checkpoint
