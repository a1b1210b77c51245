// `key=value` of the command line over the tree of the file.
#pragma once

#include <string>
#include <vector>

#include "launch/config/yaml.h"

namespace troupe {

// Puts one assignment over the tree. The value is all that stands behind the first '=': an empty
// one is an empty text, blanks and '#' belong to it. Only what begins with [, {, a quote or ! is
// YAML, without comments. Later checks see it like a value of the file, with the place "command
// line". `seen`: the keys of earlier assignments. Appends what is wrong with it.
void apply_override(YamlNode& root, const std::string& assignment, std::vector<Problem>& problems,
                    std::vector<std::string>& seen);

}  // namespace troupe
