# Precompiled headers, each compiled once for all targets that name it:
#   derate_precompiled_std    the standard headers that most files read
#   derate_precompiled_json   those and <nlohmann/json.hpp>, whose code is then made in storage/json_code.cpp alone
#   derate_precompiled_tests  those and GoogleTest, with the options of test programs
# A file still includes what it uses: the presets dev and fuzz compile each alone (DERATE_SEPARATE_FILES).
# LibTorch's headers do not pay: 443 MB, and nothing gained.
if(DERATE_SEPARATE_FILES)
  set(CMAKE_DISABLE_PRECOMPILE_HEADERS ON)
endif()

# Four files make one translation unit, which reads headers and makes the code of templates once. What stands in
# their unnamed namespaces needs names that differ. Files with options of their own stay alone.
function(compile_together target)
  if(NOT DERATE_SEPARATE_FILES)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 4)
  endif()
endfunction()

set(precompiled_std <algorithm> <array> <cmath> <cstdint> <cstdio> <filesystem> <fstream> <functional> <limits>
  <map> <memory> <numeric> <optional> <set> <span> <stdexcept> <string> <string_view> <utility> <vector>)
set(precompiled_json ${precompiled_std} ${PROJECT_SOURCE_DIR}/storage/json_code.hpp)
set(precompiled_tests ${precompiled_json} <gmock/gmock.h> <gtest/gtest.h>)

# A precompiled header belongs to a target that has something to compile.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/nothing.cpp CONTENT "")
function(add_precompiled name)
  add_library(derate_precompiled_${name} OBJECT EXCLUDE_FROM_ALL ${PROJECT_BINARY_DIR}/nothing.cpp)
  target_compile_features(derate_precompiled_${name} PUBLIC cxx_std_20)
  target_link_libraries(derate_precompiled_${name} PRIVATE derate::warnings ${ARGN})
  target_precompile_headers(derate_precompiled_${name} PRIVATE ${precompiled_${name}})
endfunction()
add_precompiled(std)
add_precompiled(json nlohmann_json::nlohmann_json)
if(DERATE_BUILD_TESTS)
  add_precompiled(tests nlohmann_json::nlohmann_json GTest::gmock)
  target_compile_options(derate_precompiled_tests PRIVATE $<$<CONFIG:Release>:-O0>)
endif()

# A precompiled header forgets the pragmas by which libstdc++ silences these warnings of itself. An optimised build
# with DERATE_SEPARATE_FILES=ON keeps them for our code.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT DERATE_SEPARATE_FILES)
  target_compile_options(derate_warnings INTERFACE -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread)
endif()

# ccache takes part only when told that a precompiled header stands for its text.
if("${CMAKE_CXX_COMPILER_LAUNCHER}" MATCHES "ccache$" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"
   AND NOT DERATE_SEPARATE_FILES)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros ${CMAKE_CXX_COMPILER_LAUNCHER})
  add_compile_options(-fpch-preprocess)
endif()
