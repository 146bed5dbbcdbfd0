# add_module(<name> SOURCES ... [PUBLIC ...] [PRIVATE ...] [TESTS ...] [TEST_PRIVATE ...] [BENCHMARKS ...])
#
# One folder, one library, one target: derate::<name>. Links in PUBLIC are the arrows drawn in
# docs/architecture.md. The files in TESTS become one GoogleTest program, <name>_tests, whose cases
# carry the label "unit"; each file in BENCHMARKS becomes a Google Benchmark program of its own, which
# may read files (derate::storage).

# The code under test is optimised; the tests around it would only take longer to compile.
set(DERATE_TEST_OPTIONS $<$<CONFIG:Release>:-O0>)

function(add_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" ""
    "SOURCES;PUBLIC;PRIVATE;TESTS;TEST_PRIVATE;BENCHMARKS")
  add_library(derate_${name} STATIC ${arg_SOURCES})
  add_library(derate::${name} ALIAS derate_${name})
  set_target_properties(derate_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(derate_${name} PUBLIC cxx_std_20)
  target_include_directories(derate_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include/derate>)
  target_link_libraries(derate_${name} PUBLIC ${arg_PUBLIC}
    PRIVATE $<BUILD_INTERFACE:derate::warnings> ${arg_PRIVATE})

  if(DERATE_BUILD_TESTS AND arg_TESTS)
    add_executable(${name}_tests ${arg_TESTS})
    target_link_libraries(${name}_tests PRIVATE
      derate::${name} derate::warnings ${arg_TEST_PRIVATE} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${name}_tests PRIVATE
      DERATE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" DERATE_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}/testdata")
    target_compile_options(${name}_tests PRIVATE ${DERATE_TEST_OPTIONS})
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
