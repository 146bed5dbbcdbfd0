# add_module(<name> [TOGETHER] SOURCES ... [PUBLIC ...] [PRIVATE ...] [TESTS ...] [TEST_PRIVATE ...] [BENCHMARKS ...])
#
# One folder, one library, one target: derate::<name>. Links in PUBLIC are the arrows drawn in
# docs/architecture.md. The files in TESTS become one GoogleTest program, <name>_tests, whose cases
# carry the label "unit"; each file in BENCHMARKS becomes a Google Benchmark program of its own, which
# may read files (derate::storage). A module that links nlohmann_json reads its header precompiled;
# the files of one that is built TOGETHER are compiled four at a time.

# Rooms that read and print gain nothing from -O2 that anybody would notice, and compile a fifth faster.
set(DERATE_LIGHT_OPTIONS $<$<CONFIG:Release>:-O1>)

# How a program of tests is compiled: the code under test is optimised; the tests around it would only take longer.
function(set_test_options program)
  target_compile_options(${program} PRIVATE $<$<CONFIG:Release>:-O0>)
  target_precompile_headers(${program} REUSE_FROM derate_precompiled_tests)
endfunction()

function(add_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TOGETHER" ""
    "SOURCES;PUBLIC;PRIVATE;TESTS;TEST_PRIVATE;BENCHMARKS")
  add_library(derate_${name} STATIC ${arg_SOURCES})
  add_library(derate::${name} ALIAS derate_${name})
  set_target_properties(derate_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(derate_${name} PUBLIC cxx_std_20)
  target_include_directories(derate_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include/derate>)
  target_link_libraries(derate_${name} PUBLIC ${arg_PUBLIC}
    PRIVATE $<BUILD_INTERFACE:derate::warnings> ${arg_PRIVATE})
  set(precompiled std)
  if("nlohmann_json::nlohmann_json" IN_LIST arg_PRIVATE)
    set(precompiled json)
  endif()
  target_precompile_headers(derate_${name} REUSE_FROM derate_precompiled_${precompiled})
  if(arg_TOGETHER)
    compile_together(derate_${name})
  endif()

  if(DERATE_BUILD_TESTS AND arg_TESTS)
    add_executable(${name}_tests ${arg_TESTS})
    target_link_libraries(${name}_tests PRIVATE
      derate::${name} derate::warnings ${arg_TEST_PRIVATE} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${name}_tests PRIVATE
      DERATE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" DERATE_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/testdata")
    set_test_options(${name}_tests)
    gtest_discover_tests(${name}_tests TEST_PREFIX "${name}."
      PROPERTIES LABELS unit DISCOVERY_TIMEOUT 60)
  endif()

  if(DERATE_BUILD_BENCHMARKS)
    foreach(source IN LISTS arg_BENCHMARKS)
      cmake_path(GET source STEM stem)
      add_executable(${stem} ${source})
      target_link_libraries(${stem} PRIVATE
        derate::${name} derate::storage derate::warnings benchmark::benchmark)
      target_compile_definitions(${stem} PRIVATE DERATE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    endforeach()
  endif()
endfunction()
