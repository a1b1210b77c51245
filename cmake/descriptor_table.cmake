# troupe_descriptor_table(moe/routers router RouterDescriptor): writes the table of a folder's descriptors from the listing
# of its files, so that a new one is one new file. moe/routers/NAME.cpp must define `RouterDescriptor router_NAME()`. Gives
# `std::deque<RouterDescriptor> routers_of_this_build()`, named after the folder. Helpers live in folders inside.
function(troupe_descriptor_table folder kind type)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
  list(SORT files)
  set(declarations "")
  set(entries "")
  foreach(file ${files})
    get_filename_component(name ${file} NAME_WE)
    string(APPEND declarations "${type} ${kind}_${name}();\n")
    string(APPEND entries "      ${kind}_${name}(),\n")
  endforeach()
  get_filename_component(all ${folder} NAME)
  set(table ${CMAKE_BINARY_DIR}/generated/${kind}_table.cpp)
  file(CONFIGURE OUTPUT ${table} @ONLY CONTENT [[
// Written by cmake/descriptor_table.cmake from the files of @folder@.
#include "@folder@/table.h"

namespace troupe {

@declarations@
std::deque<@type@> @all@_of_this_build() {
  return {
@entries@  };
}

}  // namespace troupe
]])
  # The library of the folder, or of the one around it.
  string(REPLACE "/" "_" library ${folder})
  if(NOT TARGET ${library})
    get_filename_component(outer ${folder} DIRECTORY)
    string(REPLACE "/" "_" library ${outer})
  endif()
  target_sources(${library} PRIVATE ${table})
endfunction()
