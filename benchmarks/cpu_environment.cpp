#include "benchmarks/cpu_environment.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <link.h>
#include <malloc.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace derate::benchmarks {
namespace {

// Above every tensor, so that malloc takes all from a heap that it never gives back.
constexpr int malloc_threshold_bytes = 2'000'000'000;
bool malloc_is_pinned = false;
bool denormals_are_flushed = false;

bool decides_speed(std::string_view base_name) {
    static constexpr std::array prefixes{
        std::string_view{"libtorch"},    std::string_view{"libc10"},
        std::string_view{"libgomp"},     std::string_view{"libiomp"},
        std::string_view{"libomp"},      std::string_view{"libmkl"},
        std::string_view{"libblas"},     std::string_view{"libopenblas"},
        std::string_view{"libdnnl"},     std::string_view{"libcudart"},
        std::string_view{"libcublas"},   std::string_view{"libcudnn"},
        std::string_view{"libmimalloc"}, std::string_view{"libjemalloc"},
        std::string_view{"libtcmalloc"},
    };
    return std::ranges::any_of(prefixes,
                               [&](auto prefix) { return base_name.starts_with(prefix); });
}

int collect(dl_phdr_info* info, std::size_t, void* libraries) {
    std::error_code error;
    auto const path = std::filesystem::canonical(info->dlpi_name, error);
    if (!error && decides_speed(path.filename().native())) {
        static_cast<std::vector<LoadedLibrary>*>(libraries)->push_back(
            {.name = path.filename(), .path = path});
    }
    return 0;
}

/// The first number with a dot in LibTorch's report: "2024.2", "3.13.3".
std::optional<std::string> version_in(std::string const& text) {
    static constexpr std::string_view digits = "0123456789";
    for (auto begin = text.find_first_of(digits); begin != std::string::npos;) {
        auto const end = std::min(text.find_first_not_of("0123456789.", begin), text.size());
        auto const number = text.substr(begin, end - begin);
        if (auto const dot = number.find('.');
            dot != std::string::npos && dot + 1 < number.size()) {
            return number;
        }
        begin = text.find_first_of(digits, end);
    }
    return std::nullopt;
}

void name_blas(Environment& environment) {
    if (auto const mkl = version_in(at::get_mkl_version())) {
        environment.blas = "mkl";
        environment.blas_version = mkl;
        return;
    }
    for (auto const& library : environment.loaded_libraries) {
        if (library.name.starts_with("libopenblas")) environment.blas = "openblas";
        if (library.name.starts_with("libblas")) {
            auto const& path = library.path.value_or("");
            environment.blas =
                path.find("openblas") != std::string::npos ? "openblas" : "reference";
        }
    }
}

}  // namespace

bool flush_denormals() {
    denormals_are_flushed = at::globalContext().setFlushDenormal(true);
    return denormals_are_flushed;
}

bool pin_malloc_thresholds() {
    // Both: setting one alone freezes the other at its present value.
    malloc_is_pinned = mallopt(M_MMAP_THRESHOLD, malloc_threshold_bytes) == 1 &&
                       mallopt(M_TRIM_THRESHOLD, malloc_threshold_bytes) == 1;
    return malloc_is_pinned;
}

Environment library_environment() {
    Environment environment;
    environment.libtorch = TORCH_VERSION;
    environment.parallel =
        at::get_parallel_info().find("ATen parallel backend: OpenMP") != std::string::npos
            ? "OpenMP"
            : "native thread pool";
    environment.threads = at::get_num_threads();
    environment.interop_threads = at::get_num_interop_threads();
    environment.onednn_version = version_in(at::get_mkldnn_version());
    environment.cpu_capability = at::get_cpu_capability();
    environment.flush_denormals = denormals_are_flushed;
    if (malloc_is_pinned) {
        environment.malloc_mmap_threshold_bytes = malloc_threshold_bytes;
        environment.malloc_trim_threshold_bytes = malloc_threshold_bytes;
    }
    dl_iterate_phdr(collect, &environment.loaded_libraries);
    std::ranges::sort(environment.loaded_libraries, {}, &LoadedLibrary::name);
    name_blas(environment);
    environment.compiler = DERATE_COMPILER;
    environment.compiler_flags = DERATE_COMPILER_FLAGS;
    environment.build_type = DERATE_BUILD_TYPE;
    return environment;
}

}  // namespace derate::benchmarks
