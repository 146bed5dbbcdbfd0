# Third parties. Each is linked PRIVATE by the modules that docs/architecture.md allows it in.
find_package(nlohmann_json 3.11 REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(Boost 1.74 REQUIRED)  # Boost.Math, headers only
find_package(CLI11 2.1 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)  # SHA-256
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)
find_package(simdjson 3.0 REQUIRED)
find_package(valijson QUIET)
if(DERATE_BUILD_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
if(DERATE_BUILD_BENCHMARKS OR DERATE_ENABLE_TORCH)
  find_package(benchmark REQUIRED)
endif()
