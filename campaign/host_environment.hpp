#pragma once
#include <filesystem>
#include <span>
#include <string>

#include "core/environment.hpp"

namespace derate {

/// What /proc and /sys say of the machine; null where they are silent. Never fails: a field that
/// cannot be read is unknown.
///
/// \param root  "/" in earnest; a folder with recorded files in tests
[[nodiscard]] Environment read_host_environment(std::filesystem::path const& root = "/");

/// A name for the machine that another person with the same hardware would get too.
///
/// On bare metal the processor's own name without marks and frequencies, lower case, words joined
/// by
/// '-': "amd-ryzen-9-7950x". In a virtual machine the name hides the model, so the hypervisor
/// stands first, the microarchitecture as family and model number give it, and the CPUs of the
/// guest: "kvm-amd-epyc-zen4-2c". "unknown-cpu" when nothing is known.
[[nodiscard]] std::string hardware_id_of(Environment const& environment);

/// "0-1,4" for CPUs 0, 1 and 4. \param cpus  ascending
[[nodiscard]] std::string cpu_list(std::span<int const> cpus);

/// "zen4" for AMD family 25 model 17; empty where the table has no entry.
[[nodiscard]] std::string microarchitecture(Environment const& environment);

}  // namespace derate
