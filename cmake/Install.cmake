# cmake --install: the programs, the data they read, and the libraries for find_package(derate).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(programs derate)
if(TARGET derate-bench)
  list(APPEND programs derate-bench)
endif()
install(TARGETS ${programs} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY hardware_registry DESTINATION ${CMAKE_INSTALL_DATADIR}/derate)
install(DIRECTORY workloads/models DESTINATION ${CMAKE_INSTALL_DATADIR}/derate
  FILES_MATCHING PATTERN "*.json" PATTERN "*.json.gz")

# Written from the flags the program parses, so they exist once it is built.
set(reference ${PROJECT_BINARY_DIR}/reference)
file(MAKE_DIRECTORY ${reference})
add_custom_command(
  OUTPUT ${reference}/derate.1 ${reference}/derate.bash ${reference}/_derate
  COMMAND derate reference man > ${reference}/derate.1
  COMMAND derate reference bash > ${reference}/derate.bash
  COMMAND derate reference zsh > ${reference}/_derate
  DEPENDS derate VERBATIM)
add_custom_target(reference ALL
  DEPENDS ${reference}/derate.1 ${reference}/derate.bash ${reference}/_derate)
install(FILES ${reference}/derate.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${reference}/derate.bash RENAME derate
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${reference}/_derate DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)

# What a program that prices models links: estimator, and what reads models and curves.
set(modules statistics core measuring shapes storage workloads estimator)
foreach(module IN LISTS modules)
  install(TARGETS derate_${module} EXPORT derate_targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY ${module} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/derate
    FILES_MATCHING PATTERN "*.hpp" PATTERN testdata EXCLUDE PATTERN models EXCLUDE)
endforeach()
install(EXPORT derate_targets NAMESPACE derate:: FILE derateTargets.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/derate)
configure_package_config_file(cmake/derateConfig.cmake.in
  ${PROJECT_BINARY_DIR}/derateConfig.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/derate)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/derateConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/derateConfig.cmake ${PROJECT_BINARY_DIR}/derateConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/derate)
