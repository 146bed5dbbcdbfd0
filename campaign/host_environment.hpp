#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "measuring/environment.hpp"

namespace derate {

/// What /proc and /sys say of the machine; null where they are silent. Never fails: a field that
/// cannot be read is unknown.
///
/// \param root  "/" in earnest; a folder with recorded files in tests
/// \param cpus_timed_on  whose governor and clock are told; empty: CPU 0's
[[nodiscard]] Environment read_host_environment(std::filesystem::path const& root = "/",
                                                std::span<int const> cpus_timed_on = {});

/// A name for the machine that another person with the same hardware would get too: that of the
/// graphics processor where one was timed ("nvidia-geforce-rtx-4090"), else of the processor.
///
/// On bare metal the processor's own name without marks and frequencies, lower case, words joined
/// by
/// '-': "amd-ryzen-9-7950x". In a virtual machine the name hides the model, so the hypervisor
/// stands first, the microarchitecture as family and model number give it, and the CPUs of the
/// guest: "kvm-amd-epyc-zen4-2c". "unknown-cpu" when nothing is known.
[[nodiscard]] std::string hardware_id_of(Environment const& environment);

/// Whether this machine can be the one called `id`: by hardware_id_of(), or, where a person chose the
/// name, because `processor` (or GPU), as the system calls it, is this machine's.
[[nodiscard]] bool may_be_named(Environment const& environment, std::string_view id,
                                std::string_view processor);

/// The CPUs that this process may run on, ascending; empty where the system does not tell.
[[nodiscard]] std::vector<int> usable_cpus();

/// The `count` CPUs of `allowed` to time on, ascending.
///
/// Those with the highest clock first, because the small cores of a hybrid processor are another
/// machine; then one of each core before its second thread; then the last, because interrupts
/// mostly go to the first. What /sys hides makes no difference between CPUs.
///
/// \param allowed  ascending, at least `count` of them
[[nodiscard]] std::vector<int> choose_cpus(std::span<int const> allowed, std::size_t count,
                                           std::filesystem::path const& root = "/");

/// "zen4" for AMD family 25 model 17; empty where the table has no entry.
[[nodiscard]] std::string microarchitecture(Environment const& environment);

}  // namespace derate
