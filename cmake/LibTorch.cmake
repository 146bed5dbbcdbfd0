# Target derate::libtorch: the headers and CPU libraries of LibTorch; with DERATE_ENABLE_CUDA also
# derate::libtorch_cuda.
#
# Own imported targets, because find_package(Torch) insists on the CUDA toolkit and on every file of
# the wheel. Where LibTorch is looked for:
#   Torch_DIR               a LibTorch or Python installation: <root>/share/cmake/Torch, or <root>
#   DERATE_LIBTORCH_ROOT    the folder that holds include/ and lib/
#   the cache folder that cmake/fetch_libtorch.sh fills (pinned versions)
set(DERATE_LIBTORCH_MINIMUM 2.11)
set(DERATE_LIBTORCH_ROOT "" CACHE PATH "LibTorch to use: the folder that holds include/ and lib/")

if(DERATE_ENABLE_CUDA)
  set(fetch_libtorch "cmake/fetch_libtorch.sh --cuda")
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/cmake/fetch_libtorch.sh --cuda --print-root
    OUTPUT_VARIABLE fetched_root OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE fetched_absent)
else()
  set(fetch_libtorch "cmake/fetch_libtorch.sh")
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/cmake/fetch_libtorch.sh --print-root
    OUTPUT_VARIABLE fetched_root OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE fetched_absent)
endif()

if(Torch_DIR)
  string(REGEX REPLACE "/share/cmake/Torch/?$" "" libtorch_root "${Torch_DIR}")
elseif(DERATE_LIBTORCH_ROOT)
  set(libtorch_root "${DERATE_LIBTORCH_ROOT}")
else()
  set(libtorch_root "${fetched_root}/torch")
endif()

set(libtorch_libraries c10 torch_cpu)
if(DERATE_ENABLE_CUDA)
  list(APPEND libtorch_libraries c10_cuda torch_cuda)
endif()
set(libtorch_files include/ATen/core/Tensor.h)
foreach(library IN LISTS libtorch_libraries)
  list(APPEND libtorch_files lib/lib${library}.so)
endforeach()
foreach(file IN LISTS libtorch_files)
  if(NOT EXISTS "${libtorch_root}/${file}")
    message(FATAL_ERROR "LibTorch: ${libtorch_root}/${file} is not there (run ${fetch_libtorch}, or give "
      "-D Torch_DIR=<LibTorch>/share/cmake/Torch, or build without timing: -D DERATE_ENABLE_TORCH=OFF)")
  endif()
endforeach()

set(libtorch_version "")
foreach(header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
  if(libtorch_version STREQUAL "" AND EXISTS "${libtorch_root}/include/${header}")
    file(STRINGS "${libtorch_root}/include/${header}" version_lines
      REGEX "^#define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
    if(version_lines)
      string(REGEX MATCHALL "[0-9]+" libtorch_version "${version_lines}")
      list(JOIN libtorch_version "." libtorch_version)
    endif()
  endif()
endforeach()
if(libtorch_version VERSION_LESS DERATE_LIBTORCH_MINIMUM)
  message(FATAL_ERROR "LibTorch: ${libtorch_root} holds version '${libtorch_version}' "
    "(${DERATE_LIBTORCH_MINIMUM} or later)")
endif()
message(STATUS "LibTorch ${libtorch_version}: ${libtorch_root}")

foreach(library IN LISTS libtorch_libraries)
  add_library(libtorch::${library} SHARED IMPORTED)
  set_target_properties(libtorch::${library} PROPERTIES
    IMPORTED_LOCATION "${libtorch_root}/lib/lib${library}.so")
endforeach()

# libtorch_cpu.so finds its own dependencies at run time (RPATH $ORIGIN); the linker wants them named.
file(GLOB runtime_folders LIST_DIRECTORIES true
  "${libtorch_root}/../nvidia/*/lib" "${libtorch_root}/../cusparselt/lib")
list(TRANSFORM runtime_folders PREPEND "-Wl,-rpath-link,")
if(DERATE_ENABLE_CUDA)
  # The pinned wheel is linked against CUDA 13; another LibTorch says itself what it was built for.
  if(libtorch_root STREQUAL "${fetched_root}/torch")
    find_package(CUDAToolkit 13 REQUIRED)
  else()
    find_package(CUDAToolkit 12 REQUIRED)
  endif()
  list(APPEND runtime_folders "-Wl,-rpath-link,${CUDAToolkit_LIBRARY_DIR}")
endif()

add_library(derate_libtorch INTERFACE)
add_library(derate::libtorch ALIAS derate_libtorch)
target_compile_features(derate_libtorch INTERFACE cxx_std_20)
target_include_directories(derate_libtorch SYSTEM INTERFACE "${libtorch_root}/include")
# Operators register themselves when the library is loaded; no symbol of ours would keep it.
target_link_libraries(derate_libtorch INTERFACE
  -Wl,--push-state,--no-as-needed libtorch::torch_cpu -Wl,--pop-state libtorch::c10)
target_link_options(derate_libtorch INTERFACE
  "-Wl,-rpath-link,${libtorch_root}/lib" ${runtime_folders} -Wl,--unresolved-symbols=ignore-in-shared-libs)

if(DERATE_ENABLE_CUDA)
  add_library(derate_libtorch_cuda INTERFACE)
  add_library(derate::libtorch_cuda ALIAS derate_libtorch_cuda)
  target_include_directories(derate_libtorch_cuda SYSTEM INTERFACE ${CUDAToolkit_INCLUDE_DIRS})
  target_link_libraries(derate_libtorch_cuda INTERFACE derate::libtorch
    -Wl,--push-state,--no-as-needed libtorch::torch_cuda libtorch::c10_cuda -Wl,--pop-state CUDA::cudart)
endif()
