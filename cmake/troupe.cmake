# One static library per folder, named after it (core/base -> core_base), so that link dependencies are the
# arrows of ARCHITECTURE.md.

add_library(troupe_flags INTERFACE)
target_compile_features(troupe_flags INTERFACE cxx_std_20)
target_compile_options(troupe_flags INTERFACE -march=x86-64-v3
                       $<BUILD_INTERFACE:-mtune=generic;-Wall;-Wextra;-Wpedantic;-fno-math-errno>
                       $<BUILD_INTERFACE:$<$<CONFIG:Release>:-O3>>)
target_include_directories(troupe_flags INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
target_include_directories(troupe_flags SYSTEM INTERFACE $<INSTALL_INTERFACE:include/troupe>)
if(TROUPE_OPENMP)
  target_link_libraries(troupe_flags INTERFACE OpenMP::OpenMP_CXX)
endif()
if(TROUPE_SANITIZE)
  target_compile_options(troupe_flags INTERFACE -fsanitize=${TROUPE_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(troupe_flags INTERFACE -fsanitize=${TROUPE_SANITIZE})
endif()

# troupe_library(core/io DEPS core/tensor LINK fmt::fmt WITHOUT hdf5): WITHOUT names folders inside that are libraries of
# their own.
function(troupe_library folder)
  cmake_parse_arguments(ARG "" "" "DEPS;LINK;WITHOUT" ${ARGN})
  string(REPLACE "/" "_" name ${folder})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  foreach(inner ${ARG_WITHOUT})
    list(FILTER sources EXCLUDE REGEX "/${folder}/${inner}/")
  endforeach()
  string(REPLACE "/" "_" dependencies "${ARG_DEPS}")
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC troupe_flags ${dependencies} ${ARG_LINK})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE troupe_flags ${dependencies} ${ARG_LINK})
  endif()
  if(NOT folder MATCHES "^launch/")
    set_property(GLOBAL APPEND PROPERTY TROUPE_LIBRARIES ${name})
  endif()
endfunction()

# troupe_install_libraries(): all below launch, with their headers, as the package Troupe: one target for each layer
# (Troupe::core, Troupe::parallel, Troupe::moe, Troupe::models), which are what programs link.
function(troupe_install_libraries)
  include(GNUInstallDirs)
  include(CMakePackageConfigHelpers)
  get_property(libraries GLOBAL PROPERTY TROUPE_LIBRARIES)
  set(layers core parallel moe models)
  set(below "")
  foreach(layer ${layers})
    set(own ${libraries})
    list(FILTER own INCLUDE REGEX "^${layer}_")
    add_library(troupe_${layer} INTERFACE)
    target_link_libraries(troupe_${layer} INTERFACE ${own} ${below})
    set(below troupe_${layer})
    set_target_properties(troupe_${layer} PROPERTIES EXPORT_NAME ${layer})
    install(DIRECTORY ${layer} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/troupe FILES_MATCHING PATTERN "*.h")
  endforeach()
  list(TRANSFORM layers PREPEND troupe_)
  install(TARGETS ${libraries} ${layers} troupe_flags EXPORT TroupeTargets
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/troupe)
  set(package ${CMAKE_INSTALL_LIBDIR}/cmake/Troupe)
  install(EXPORT TroupeTargets NAMESPACE Troupe:: DESTINATION ${package})
  configure_package_config_file(cmake/TroupeConfig.cmake.in ${CMAKE_BINARY_DIR}/TroupeConfig.cmake
                                INSTALL_DESTINATION ${package})
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/TroupeConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/TroupeConfig.cmake ${CMAKE_BINARY_DIR}/TroupeConfigVersion.cmake
                cmake/dependencies.cmake DESTINATION ${package})
endfunction()

# For code in which no time is spent (launch, tests): linked last, so that its -O1 holds.
add_library(troupe_quickly_compiled INTERFACE)
target_compile_options(troupe_quickly_compiled INTERFACE $<$<CONFIG:Release>:-O1>)

# What all tests include comes precompiled: with -O1 that halves what they add to a build.
function(troupe_test_headers)
  add_library(troupe_test_headers OBJECT ${CMAKE_SOURCE_DIR}/tests/support/test_headers.cpp)
  target_link_libraries(troupe_test_headers PRIVATE core_base GTest::gtest troupe_quickly_compiled)
  target_precompile_headers(troupe_test_headers PRIVATE ${CMAKE_SOURCE_DIR}/tests/support/test_headers.h)
  target_compile_options(troupe_test_headers PRIVATE -fpch-preprocess)  # for ccache
endfunction()
function(troupe_compile_as_test target)
  target_link_libraries(${target} PRIVATE core_base GTest::gtest troupe_quickly_compiled)
  target_precompile_headers(${target} REUSE_FROM troupe_test_headers)
  target_compile_options(${target} PRIVATE -fpch-preprocess)
endfunction()

# troupe_discover_tests(test_program program LABELS mpi program PROCESSORS 2): one ctest entry a gtest test, called
# program/SUITE.TEST and listed by the executable itself when ctest starts. FILTER chooses tests as --gtest_filter does;
# tests that share a RESOURCE_LOCK never run at once.
function(troupe_discover_tests target prefix)
  cmake_parse_arguments(ARG "" "TIMEOUT;FILTER;PROCESSORS;RESOURCE_LOCK" "LABELS" ${ARGN})
  string(MAKE_C_IDENTIFIER "${target}_${ARG_FILTER}_tests" list)
  gtest_discover_tests(${target} TEST_PREFIX "${prefix}/" TEST_FILTER "${ARG_FILTER}" TEST_LIST ${list}
                       DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 NO_PRETTY_VALUES)
  set(properties "")
  foreach(property TIMEOUT PROCESSORS RESOURCE_LOCK LABELS)
    if(ARG_${property})
      string(APPEND properties " ${property} \"${ARG_${property}}\"")
    endif()
  endforeach()
  # In a file of its own that ctest reads next, since gtest_discover_tests takes no property that is a list.
  set(file ${CMAKE_CURRENT_BINARY_DIR}/${list}.cmake)
  file(WRITE ${file} "if(${list})\n  set_tests_properties(\${${list}} PROPERTIES${properties})\nendif()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${file})
endfunction()

# troupe_test(core/ops LINK ...): tests/core/ops/*.cpp as test_core_ops, discovered test by test.
function(troupe_test folder)
  cmake_parse_arguments(ARG "" "TIMEOUT" "LINK;LABELS" ${ARGN})
  string(REPLACE "/" "_" name ${folder})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(test_${name} ${sources})
  if(NOT folder STREQUAL "laws")
    add_dependencies(unit_tests test_${name})
    if(NOT folder MATCHES "^launch/")
      add_dependencies(unit_tests_below_launch test_${name})
    endif()
  endif()
  if("${ARG_LABELS}" STREQUAL "threads")
    add_dependencies(thread_tests test_${name})
  endif()
  target_link_libraries(test_${name} PRIVATE ${ARG_LINK} GTest::gtest_main)
  troupe_compile_as_test(test_${name})
  target_compile_definitions(test_${name} PRIVATE TROUPE_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                             TROUPE_BINARY_DIR="${CMAKE_BINARY_DIR}")
  troupe_discover_tests(test_${name} ${folder} TIMEOUT ${ARG_TIMEOUT} LABELS ${ARG_LABELS})
endfunction()

# troupe_mpi_test(mpi/comm RANKS "1;2;4" LINK parallel_comm [SOURCES extra.cpp] [TIMEOUT 120] [SHARDS 4]):
# tests/mpi/comm/*.cpp with a gtest main that starts MPI (tests/support/mpi_main.cpp) as test_mpi_comm, run
# under mpirun once for each number of ranks, in so many parts. Label "mpi".
function(troupe_mpi_test folder)
  cmake_parse_arguments(ARG "" "TIMEOUT;SHARDS" "LINK;RANKS;SOURCES" ${ARGN})
  string(REPLACE "/" "_" name ${folder})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 180)
  endif()
  if(NOT ARG_SHARDS)
    set(ARG_SHARDS 1)
  endif()
  add_executable(test_${name} ${sources} ${ARG_SOURCES} ${CMAKE_SOURCE_DIR}/tests/support/mpi_main.cpp)
  target_link_libraries(test_${name} PRIVATE ${ARG_LINK} parallel_comm_mpi GTest::gtest)
  troupe_compile_as_test(test_${name})
  target_compile_definitions(test_${name} PRIVATE TROUPE_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                             TROUPE_BINARY_DIR="${CMAKE_BINARY_DIR}")
  foreach(ranks ${ARG_RANKS})
    if(ARG_SHARDS EQUAL 1)
      troupe_add_mpi_run(${folder}/ranks_${ranks} ${ranks} test_${name} ${ARG_TIMEOUT})
      continue()
    endif()
    foreach(shard RANGE 1 ${ARG_SHARDS})
      math(EXPR index "${shard} - 1")
      troupe_add_mpi_run(${folder}/ranks_${ranks}/part_${shard} ${ranks} test_${name} ${ARG_TIMEOUT}
                         GTEST_TOTAL_SHARDS=${ARG_SHARDS} GTEST_SHARD_INDEX=${index})
    endforeach()
  endforeach()
endfunction()

# One ctest entry: `target` under mpirun, with extra environment variables after the timeout.
function(troupe_add_mpi_run test ranks target timeout)
  # --bind-to none: OpenMPI would bind one or two ranks to one core each.
  add_test(NAME ${test} COMMAND ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none -n ${ranks}
           $<TARGET_FILE:${target}>)
  set_tests_properties(${test} PROPERTIES LABELS mpi PROCESSORS ${ranks} TIMEOUT ${timeout}
    ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;${ARGN}")
endfunction()
