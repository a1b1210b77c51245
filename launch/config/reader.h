// From a YAML tree (file and command line merged) to values, by the schema: unknown, misplaced,
// duplicate, ineffective and missing keys, types and ranges. Relations between values come later
// (rules.h).
#pragma once

#include <string>
#include <vector>

#include "launch/config/config_values.h"
#include "launch/config/path_variables.h"
#include "launch/config/yaml.h"

namespace troupe {

// All values, defaults filled in. Appends every problem found. Where there is one the values hold
// a harmless value and says that the place is broken, so that the other rules can still be applied.
// Without sections at all (an empty file, a list) there are no values.
ConfigValues read_values(const YamlNode& root, const std::string& file,
                         std::vector<Problem>& problems, const PathReading& paths = {});

}  // namespace troupe
