#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace derate {

/// One shared library that answered, as the dynamic linker resolved it.
struct LoadedLibrary {
    std::string name{};  ///< base name
    std::optional<std::string> version{};
    std::optional<std::string> path{};  ///< stays in the samples; evidence and registry drop it

    friend bool operator==(LoadedLibrary const&, LoadedLibrary const&) = default;
};

/// What a timing depends on beside the program that was timed. Every field may be unknown (empty,
/// null in files): a virtual machine hides clocks, a container hides the firmware.
struct Environment {
    // Processor
    std::optional<std::string> cpu_vendor{};  ///< "AuthenticAMD"
    std::optional<std::string> cpu_name{};    ///< as the processor calls itself
    std::optional<int> cpu_family{};
    std::optional<int> cpu_model{};
    std::optional<int> cpu_stepping{};
    std::optional<std::string> microcode{};
    std::optional<int> logical_cpus{};  ///< online
    std::optional<int> physical_cores{};
    std::optional<bool> smt{};  ///< two threads share a core
    std::optional<int> numa_nodes{};
    std::optional<double> l1d_cache_bytes{};  ///< of one core
    std::optional<double> l2_cache_bytes{};   ///< of one core
    std::optional<double> last_level_cache_bytes{};
    std::optional<double> memory_bytes{};
    std::optional<std::string> governor{};  ///< cpufreq's, of the CPUs used
    std::optional<double> clock_max_hz{};   ///< cpufreq's limit
    std::optional<bool> turbo{};            ///< boost is allowed
    // System
    std::optional<std::string> hypervisor{};  ///< "KVM"; "none" on bare metal
    std::optional<std::string> kernel{};
    std::optional<std::string> operating_system{};
    std::optional<std::string> transparent_huge_pages{};  ///< "always", "madvise", "never"
    std::optional<int> aslr{};                            ///< randomize_va_space
    std::optional<std::string> affinity{};                ///< CPUs the timed process may use, "0-1"
    std::optional<double> cgroup_cpus{};   ///< CPU quota in CPUs; empty: none set or unknown
    std::optional<double> load_average{};  ///< one minute, at the start
    // Program
    std::optional<std::string> tool_version{};
    std::optional<std::string> git_revision{};  ///< that it was built from
    std::optional<bool> git_dirty{};            ///< with changes on top of it
    std::optional<std::string> compiler{};
    std::optional<std::string> compiler_flags{};
    std::optional<std::string> build_type{};
    std::optional<std::string> command_line{};
    // Libraries
    std::optional<std::string> libtorch{};  ///< version
    std::optional<std::string> parallel{};  ///< LibTorch's parallel backend, "OpenMP"
    std::optional<int> threads{};           ///< at::get_num_threads()
    std::optional<int> interop_threads{};
    std::optional<std::string> blas{};  ///< "mkl", "openblas", "reference"
    std::optional<std::string> blas_version{};
    std::optional<std::string> onednn_version{};
    std::optional<std::string> cpu_capability{};  ///< kernels LibTorch dispatches to, "AVX512"
    std::optional<double> malloc_mmap_threshold_bytes{};  ///< as pinned
    std::optional<double> malloc_trim_threshold_bytes{};  ///< as pinned
    std::optional<bool> flush_denormals{};
    std::vector<LoadedLibrary> loaded_libraries{};
    // Graphics processor
    std::optional<std::string> gpu_name{};
    std::optional<double> gpu_memory_bytes{};
    std::optional<std::string> gpu_driver{};
    std::optional<std::string> cuda{};  ///< runtime version
    std::optional<double> gpu_clock_max_hz{};
    std::optional<double> gpu_clock_hz{};  ///< while timed
    std::optional<double> gpu_memory_clock_hz{};
    std::optional<double> gpu_power_limit_w{};
    std::optional<bool> gpu_ecc{};
    std::optional<bool> gpu_mig{};
    std::optional<std::string> gpu_throttle_reasons{};
    std::optional<bool> gpu_tf32{};  ///< convolutions in FP32 may round their inputs to TF32

    friend bool operator==(Environment const&, Environment const&) = default;
};

/// `first` with its unknown fields taken from `second`: the machine's half and the libraries' half.
[[nodiscard]] Environment merge(Environment first, Environment const& second);

/// Without what changes from run to run or from commit to commit, or names a person's files: load
/// average, command line, git revision, clock while timed, throttle reasons, library paths.
[[nodiscard]] Environment without_volatile_fields(Environment environment);

}  // namespace derate
