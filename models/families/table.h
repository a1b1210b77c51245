// All model families of this build. The table is written by CMake from the files of
// models/families: a file `name.cpp` gives `FamilyDescriptor family_name()`.
#pragma once

#include <deque>

#include "models/model/family.h"

namespace troupe {

const std::deque<FamilyDescriptor>& families();

}  // namespace troupe
