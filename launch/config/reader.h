// From a YAML tree (file and command line merged) to a sheet, by the schema: unknown, misplaced,
// duplicate, ineffective and missing keys, types and ranges. Relations between values come later
// (rules.h).
#pragma once

#include <string>
#include <vector>

#include "launch/config/path_variables.h"
#include "launch/config/sheet.h"
#include "launch/config/yaml.h"

namespace troupe {

// All values, defaults filled in. Appends every problem found. Where there is one the sheet holds a
// harmless value and says that the place is broken, so that the other rules can still be applied.
// Without sections at all (an empty file, a list) the sheet is empty.
Sheet read_sheet(const YamlNode& root, const std::string& file, std::vector<Problem>& problems,
                 const PathReading& paths = {});

}  // namespace troupe
