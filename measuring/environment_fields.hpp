#pragma once
#include "measuring/environment.hpp"

namespace derate {

/// Calls `visit(name, member pointer)` for every optional field of Environment, in file order: the
/// one list that merging, hashing and the codec share.
template <class Visit>
void for_each_environment_field(Visit&& visit) {
    using E = Environment;
    visit("cpu_vendor", &E::cpu_vendor);
    visit("cpu_name", &E::cpu_name);
    visit("cpu_family", &E::cpu_family);
    visit("cpu_model", &E::cpu_model);
    visit("cpu_stepping", &E::cpu_stepping);
    visit("microcode", &E::microcode);
    visit("logical_cpus", &E::logical_cpus);
    visit("physical_cores", &E::physical_cores);
    visit("smt", &E::smt);
    visit("numa_nodes", &E::numa_nodes);
    visit("l1d_cache_bytes", &E::l1d_cache_bytes);
    visit("l2_cache_bytes", &E::l2_cache_bytes);
    visit("last_level_cache_bytes", &E::last_level_cache_bytes);
    visit("memory_bytes", &E::memory_bytes);
    visit("governor", &E::governor);
    visit("clock_max_hz", &E::clock_max_hz);
    visit("turbo", &E::turbo);
    visit("hypervisor", &E::hypervisor);
    visit("kernel", &E::kernel);
    visit("operating_system", &E::operating_system);
    visit("transparent_huge_pages", &E::transparent_huge_pages);
    visit("aslr", &E::aslr);
    visit("affinity", &E::affinity);
    visit("cgroup_cpus", &E::cgroup_cpus);
    visit("load_average", &E::load_average);
    visit("tool_version", &E::tool_version);
    visit("git_revision", &E::git_revision);
    visit("git_dirty", &E::git_dirty);
    visit("compiler", &E::compiler);
    visit("compiler_flags", &E::compiler_flags);
    visit("build_type", &E::build_type);
    visit("command_line", &E::command_line);
    visit("libtorch", &E::libtorch);
    visit("parallel", &E::parallel);
    visit("threads", &E::threads);
    visit("interop_threads", &E::interop_threads);
    visit("blas", &E::blas);
    visit("blas_version", &E::blas_version);
    visit("onednn_version", &E::onednn_version);
    visit("cpu_capability", &E::cpu_capability);
    visit("malloc_mmap_threshold_bytes", &E::malloc_mmap_threshold_bytes);
    visit("malloc_trim_threshold_bytes", &E::malloc_trim_threshold_bytes);
    visit("flush_denormals", &E::flush_denormals);
    visit("gpu_name", &E::gpu_name);
    visit("gpu_memory_bytes", &E::gpu_memory_bytes);
    visit("gpu_driver", &E::gpu_driver);
    visit("cuda", &E::cuda);
    visit("gpu_clock_max_hz", &E::gpu_clock_max_hz);
    visit("gpu_clock_hz", &E::gpu_clock_hz);
    visit("gpu_memory_clock_hz", &E::gpu_memory_clock_hz);
    visit("gpu_power_limit_w", &E::gpu_power_limit_w);
    visit("gpu_ecc", &E::gpu_ecc);
    visit("gpu_mig", &E::gpu_mig);
    visit("gpu_throttle_reasons", &E::gpu_throttle_reasons);
    visit("gpu_tf32", &E::gpu_tf32);
}

}  // namespace derate
