#pragma once
#include <optional>
#include <string>
#include <vector>

namespace derate::benchmarks {

/// A shared library of this process that decides how fast operators run.
struct LoadedLibrary {
    std::string name;  ///< base name of the resolved file, e.g. "libtorch_cpu.so"
    std::string path;  ///< resolved; stays in the raw samples
};

/// What is known of the libraries that do the work; goes into the environment block.
struct LibraryFacts {
    std::string libtorch_version;
    std::string cpu_capability;                 ///< of LibTorch's dispatch, e.g. "AVX512"
    std::optional<std::string> mkl_version;     ///< as MKL reports it; empty: not built in
    std::optional<std::string> onednn_version;  ///< empty: not built in
    std::string parallel_backend;               ///< "OpenMP", "native thread pool"
    std::string parallel_settings;              ///< LibTorch's own report, many lines
    int threads = 0;                            ///< intra-operator
    /// True where MKL's check of the processor's maker picks slower kernels (not an Intel
    /// processor). It is recorded and left as it is, because users of LibTorch run it like that
    /// too.
    bool mkl_on_other_vendor = false;
    std::vector<LoadedLibrary>
        libraries;  ///< torch, c10, BLAS, oneDNN, OpenMP, CUDA; sorted by name
};

[[nodiscard]] LibraryFacts library_facts();

}  // namespace derate::benchmarks
