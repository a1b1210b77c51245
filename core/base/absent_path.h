// What to say of a path that a user named and at which nothing is found.
#pragma once

#include <string>

namespace troupe {

// "does not exist", or, where looking itself fails (a folder above it forbids it, a name too long,
// links in a circle), "cannot be reached: Permission denied".
std::string why_absent(const std::string& path);

}  // namespace troupe
