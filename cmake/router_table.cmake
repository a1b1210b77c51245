# troupe_router_table(): writes moe/routers' table from the files of the folder, so that a new router is one new
# file. moe/routers/NAME.cpp must define `RouterDescriptor router_NAME()`. Helpers live in moe/routers/parts.
function(troupe_router_table)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/moe/routers/*.cpp)
  list(SORT files)
  set(declarations "")
  set(entries "")
  foreach(file ${files})
    get_filename_component(router ${file} NAME_WE)
    string(APPEND declarations "RouterDescriptor router_${router}();\n")
    string(APPEND entries "      router_${router}(),\n")
  endforeach()
  set(table ${CMAKE_BINARY_DIR}/generated/router_table.cpp)
  file(CONFIGURE OUTPUT ${table} @ONLY CONTENT [[
// Written by cmake/router_table.cmake from the files of moe/routers.
#include "moe/routers/table.h"

namespace troupe {

@declarations@
std::deque<RouterDescriptor> routers_of_this_build() {
  return {
@entries@  };
}

}  // namespace troupe
]])
  target_sources(moe_routers PRIVATE ${table})
endfunction()
