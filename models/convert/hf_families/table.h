// All classes of models that can be read and written. The table is written by CMake from the files
// of this folder: a file `name.cpp` gives `HfFamily hf_family_name()`.
#pragma once

#include <deque>
#include <string>

#include "models/convert/hf_family.h"

namespace troupe {

std::deque<HfFamily> hf_families_of_this_build();

const std::deque<HfFamily>& hf_families();
// Null when there is none of this type.
const HfFamily* find_hf_family(const std::string& model_type);

}  // namespace troupe
