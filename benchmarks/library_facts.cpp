#include "benchmarks/library_facts.hpp"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <link.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

namespace derate::benchmarks {
namespace {

bool decides_speed(std::string_view base_name) {
    static constexpr std::array prefixes{
        std::string_view{"libtorch"},  std::string_view{"libc10"},
        std::string_view{"libgomp"},   std::string_view{"libiomp"},
        std::string_view{"libomp"},    std::string_view{"libmkl"},
        std::string_view{"libblas"},   std::string_view{"libopenblas"},
        std::string_view{"libdnnl"},   std::string_view{"libcudart"},
        std::string_view{"libcublas"}, std::string_view{"libcudnn"},
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

bool intel_processor() {
    std::ifstream cpuinfo{"/proc/cpuinfo"};
    for (std::string line; std::getline(cpuinfo, line);) {
        if (line.starts_with("vendor_id")) return line.find("GenuineIntel") != std::string::npos;
    }
    return false;
}

/// Versions stand in LibTorch's reports as "MKL version", "v3.13.3 (Git Hash ...)".
std::optional<std::string> known(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    if (text.empty() || text.find("not found") != std::string::npos) return std::nullopt;
    return text;
}

}  // namespace

LibraryFacts library_facts() {
    LibraryFacts facts;
    facts.libtorch_version = TORCH_VERSION;
    facts.cpu_capability = at::get_cpu_capability();
    facts.mkl_version = known(at::get_mkl_version());
    facts.onednn_version = known(at::get_mkldnn_version());
    facts.parallel_settings = at::get_parallel_info();
    facts.threads = at::get_num_threads();
    facts.parallel_backend =
        facts.parallel_settings.find("ATen parallel backend: OpenMP") != std::string::npos
            ? "OpenMP"
            : "native thread pool";
    facts.mkl_on_other_vendor = facts.mkl_version.has_value() && !intel_processor();
    dl_iterate_phdr(collect, &facts.libraries);
    std::ranges::sort(facts.libraries, {}, &LoadedLibrary::name);
    return facts;
}

}  // namespace derate::benchmarks
