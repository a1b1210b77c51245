# troupe_family_table(): writes models/families' table from the files of the folder, so that a new family is one new
# file. models/families/NAME.cpp must define `FamilyDescriptor family_NAME()`.
function(troupe_family_table)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/models/families/*.cpp)
  list(SORT files)
  set(declarations "")
  set(entries "")
  foreach(file ${files})
    get_filename_component(family ${file} NAME_WE)
    string(APPEND declarations "FamilyDescriptor family_${family}();\n")
    string(APPEND entries "      family_${family}(),\n")
  endforeach()
  set(table ${CMAKE_BINARY_DIR}/generated/family_table.cpp)
  file(CONFIGURE OUTPUT ${table} @ONLY CONTENT [[
// Written by cmake/family_table.cmake from the files of models/families.
#include "models/families/table.h"

namespace troupe {

@declarations@
const std::vector<FamilyDescriptor>& families() {
  static const std::vector<FamilyDescriptor> table = {
@entries@  };
  return table;
}

}  // namespace troupe
]])
  target_sources(models_families PRIVATE ${table})
endfunction()
