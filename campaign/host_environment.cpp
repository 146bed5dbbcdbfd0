#include "campaign/host_environment.hpp"

#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "measuring/control_groups.hpp"
#include "measuring/plan.hpp"

namespace derate {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> first_line(fs::path const& path) {
    std::ifstream file{path};
    std::string line;
    if (!std::getline(file, line) || line.empty()) return std::nullopt;
    return line;
}

std::optional<double> number_of(std::optional<std::string> const& text) {
    if (!text) return std::nullopt;
    double value = 0;
    auto const [end, fault] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (fault != std::errc{} || !std::isfinite(value)) return std::nullopt;
    return value;
}

std::optional<int> integer_of(std::optional<std::string> const& text) {
    auto const value = number_of(text);
    if (!value) return std::nullopt;
    return static_cast<int>(*value);
}

/// "32768K" or "1M" of sysfs cache files, in bytes.
std::optional<double> size_of(std::optional<std::string> const& text) {
    auto const value = number_of(text);
    if (!value) return std::nullopt;
    switch (text->back()) {
        case 'K':
            return *value * 1024;
        case 'M':
            return *value * 1024 * 1024;
        default:
            return value;
    }
}

std::string trimmed(std::string_view text) {
    auto const begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return std::string{text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1)};
}

/// The word in brackets of "always [madvise] never".
std::optional<std::string> chosen_word(std::optional<std::string> const& line) {
    if (!line) return std::nullopt;
    auto const begin = line->find('[');
    auto const end = line->find(']');
    if (begin == std::string::npos || end == std::string::npos || end < begin) return std::nullopt;
    return line->substr(begin + 1, end - begin - 1);
}

/// First processor block of /proc/cpuinfo, and the numbers of all that are online: where some are
/// not, numbers are left out.
std::map<std::string, std::string> read_cpuinfo(fs::path const& path,
                                                std::vector<int>& processors) {
    std::map<std::string, std::string> fields;
    std::ifstream file{path};
    for (std::string line; std::getline(file, line);) {
        auto const colon = line.find(':');
        if (colon == std::string::npos) continue;
        auto const name = trimmed(line.substr(0, colon));
        auto const value = trimmed(line.substr(colon + 1));
        if (name == "processor") processors.push_back(integer_of(value).value_or(0));
        if (processors.size() <= 1) fields.emplace(name, value);
    }
    return fields;
}

void read_caches(fs::path const& cpu0, Environment& environment) {
    int last_level = 0;
    for (int index = 0; index < 8; ++index) {
        auto const folder = cpu0 / "cache" / ("index" + std::to_string(index));
        auto const level = integer_of(first_line(folder / "level"));
        auto const size = size_of(first_line(folder / "size"));
        auto const type = first_line(folder / "type");
        if (!level || !size || type == "Instruction") continue;
        if (*level == 1) environment.l1d_cache_bytes = size;
        if (*level == 2) environment.l2_cache_bytes = size;
        if (*level >= last_level) {
            last_level = *level;
            environment.last_level_cache_bytes = size;
        }
    }
}

/// Distinct (package, core) pairs over all CPUs; empty when the topology is hidden.
std::optional<int> count_cores(fs::path const& cpus, std::span<int const> processors) {
    std::set<std::pair<int, int>> cores;
    for (int const cpu : processors) {
        auto const topology = cpus / ("cpu" + std::to_string(cpu)) / "topology";
        auto const package = integer_of(first_line(topology / "physical_package_id"));
        auto const core = integer_of(first_line(topology / "core_id"));
        if (!package || !core) return std::nullopt;
        cores.emplace(*package, *core);
    }
    if (cores.empty()) return std::nullopt;
    return static_cast<int>(cores.size());
}

std::optional<std::string> read_hypervisor(fs::path const& root, std::string const& flags) {
    auto const vendor = first_line(root / "sys/class/dmi/id/sys_vendor").value_or("");
    auto const product = first_line(root / "sys/class/dmi/id/product_name").value_or("");
    auto const type = first_line(root / "sys/hypervisor/type");
    bool const guest = (" " + flags + " ").find(" hypervisor ") != std::string::npos;
    if (type) return *type == "xen" ? "Xen" : *type;
    if (!guest) return flags.empty() ? std::nullopt : std::optional<std::string>{"none"};
    for (auto const& [word, name] : {std::pair{"QEMU", "KVM"},
                                     {"KVM", "KVM"},
                                     {"Google", "KVM"},
                                     {"Amazon", "KVM"},
                                     {"Firecracker", "KVM"},
                                     {"VMware", "VMware"},
                                     {"Microsoft", "Hyper-V"},
                                     {"innotek", "VirtualBox"}}) {
        if (vendor.find(word) != std::string::npos || product.find(word) != std::string::npos) {
            return name;
        }
    }
    // Without firmware tables, the clock source still tells which hypervisor serves the time.
    auto const clock =
        first_line(root / "sys/devices/system/clocksource/clocksource0/available_clocksource")
            .value_or("");
    if (clock.find("kvm-clock") != std::string::npos) return "KVM";
    if (clock.find("hyperv") != std::string::npos) return "Hyper-V";
    if (clock.find("xen") != std::string::npos) return "Xen";
    return "unknown";
}

std::optional<bool> read_turbo(fs::path const& root) {
    auto const cpu = root / "sys/devices/system/cpu";
    if (auto const boost = integer_of(first_line(cpu / "cpufreq/boost"))) return *boost == 1;
    if (auto const off = integer_of(first_line(cpu / "intel_pstate/no_turbo"))) return *off == 0;
    return std::nullopt;
}

std::optional<std::string> read_operating_system(fs::path const& root) {
    std::ifstream file{root / "etc/os-release"};
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with("PRETTY_NAME=")) continue;
        auto name = line.substr(12);
        std::erase(name, '"');
        return name;
    }
    return std::nullopt;
}

struct Architecture {
    char const* vendor;
    int family;
    int first_model;
    int last_model;
    char const* name;
};

/// Source: AMD, "Revision Guide" of each family; Intel, SDM volume 4, table 2-1.
constexpr std::array architectures{
    Architecture{"AuthenticAMD", 23, 0x00, 0x2f, "zen"},
    Architecture{"AuthenticAMD", 23, 0x30, 0xff, "zen2"},
    Architecture{"AuthenticAMD", 25, 0x00, 0x0f, "zen3"},
    Architecture{"AuthenticAMD", 25, 0x10, 0x1f, "zen4"},
    Architecture{"AuthenticAMD", 25, 0x20, 0x5f, "zen3"},
    Architecture{"AuthenticAMD", 25, 0x60, 0xaf, "zen4"},
    Architecture{"AuthenticAMD", 26, 0x00, 0xff, "zen5"},
    Architecture{"GenuineIntel", 6, 0x3f, 0x3f, "haswell"},
    Architecture{"GenuineIntel", 6, 0x4f, 0x4f, "broadwell"},
    Architecture{"GenuineIntel", 6, 0x55, 0x55, "skylake"},  // Cascade and Cooper Lake too
    Architecture{"GenuineIntel", 6, 0x6a, 0x6c, "icelake"},
    Architecture{"GenuineIntel", 6, 0x8f, 0x8f, "sapphirerapids"},
    Architecture{"GenuineIntel", 6, 0xad, 0xae, "graniterapids"},
    Architecture{"GenuineIntel", 6, 0xcf, 0xcf, "emeraldrapids"},
};

/// Words of a processor's name that tell one model from another.
std::string plain_name(std::string name) {
    if (auto const at = name.find('@'); at != std::string::npos) name.erase(at);
    for (std::string_view const mark : {"(R)", "(r)", "(TM)", "(tm)"}) {
        for (std::size_t at; (at = name.find(mark)) != std::string::npos;)
            name.erase(at, mark.size());
    }
    std::istringstream words{name};
    std::string plain;
    for (std::string word; words >> word;) {
        std::ranges::transform(word, word.begin(),
                               [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        if (word == "with" || word == "w/") break;  // "... with Radeon Graphics"
        if (word == "cpu" || word == "processor" || word.ends_with("-core") || word == "gen" ||
            word.ends_with("th") || word.ends_with("-cores")) {
            continue;
        }
        std::erase_if(word, [](unsigned char c) { return !std::isalnum(c) && c != '-'; });
        if (word.empty()) continue;
        if (!plain.empty()) plain += "-";
        plain += word;
    }
    return plain;
}

}  // namespace

std::vector<int> usable_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return {};
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
    return cpus;
}

std::vector<int> choose_cpus(std::span<int const> allowed, std::size_t count,
                             fs::path const& root) {
    struct Cpu {
        int number;
        double clock;  // kHz; 0 where it is hidden
        int thread;    // 0: the first of its core
    };
    std::vector<Cpu> cpus;
    std::map<std::string, int> threads_of_core;
    // From the last on, so that it is its core's first.
    for (auto cpu = allowed.rbegin(); cpu != allowed.rend(); ++cpu) {
        auto const folder = root / "sys/devices/system/cpu" / ("cpu" + std::to_string(*cpu));
        auto const siblings = first_line(folder / "topology/thread_siblings_list");
        cpus.push_back(
            {.number = *cpu,
             .clock = number_of(first_line(folder / "cpufreq/cpuinfo_max_freq")).value_or(0),
             .thread = siblings ? threads_of_core[*siblings]++ : 0});
    }
    // Favoured cores of one kind are a few per cent faster, small cores a tenth or more slower.
    double const fastest = std::ranges::max(cpus, {}, &Cpu::clock).clock;
    std::ranges::stable_sort(cpus, {}, [fastest](Cpu const& cpu) {
        bool const small = cpu.clock > 0 && cpu.clock < 0.9 * fastest;
        return std::pair{small, cpu.thread};
    });
    std::vector<int> chosen;
    for (auto const& cpu : std::span{cpus}.first(count)) chosen.push_back(cpu.number);
    std::ranges::sort(chosen);
    return chosen;
}

Environment read_host_environment(fs::path const& root, std::span<int const> cpus_timed_on) {
    Environment environment;
    std::vector<int> processors;
    auto const cpuinfo = read_cpuinfo(root / "proc/cpuinfo", processors);
    auto const field = [&cpuinfo](char const* name) -> std::optional<std::string> {
        auto const found = cpuinfo.find(name);
        if (found == cpuinfo.end() || found->second.empty()) return std::nullopt;
        return found->second;
    };
    environment.cpu_vendor = field("vendor_id");
    environment.cpu_name = field("model name");
    environment.cpu_family = integer_of(field("cpu family"));
    environment.cpu_model = integer_of(field("model"));
    environment.cpu_stepping = integer_of(field("stepping"));
    environment.microcode = field("microcode");
    if (!processors.empty()) environment.logical_cpus = static_cast<int>(processors.size());

    auto const cpus = root / "sys/devices/system/cpu";
    environment.physical_cores = count_cores(cpus, processors);
    if (auto const smt = integer_of(first_line(cpus / "smt/active"))) environment.smt = *smt == 1;
    std::error_code error;
    int nodes = 0;
    while (fs::exists(root / "sys/devices/system/node" / ("node" + std::to_string(nodes)), error)) {
        ++nodes;
    }
    if (nodes > 0) environment.numa_nodes = nodes;
    read_caches(cpus / "cpu0", environment);
    std::ifstream memory{root / "proc/meminfo"};
    for (std::string name, unit; memory >> name;) {
        double kibibytes = 0;
        if (!(memory >> kibibytes)) break;
        if (name == "MemTotal:") environment.memory_bytes = kibibytes * 1024;
        std::getline(memory, unit);
    }
    auto const clocks = cpus /
                        ("cpu" + std::to_string(cpus_timed_on.empty() ? 0 : cpus_timed_on.back())) /
                        "cpufreq";
    environment.governor = first_line(clocks / "scaling_governor");
    if (auto const kilohertz = number_of(first_line(clocks / "cpuinfo_max_freq"))) {
        environment.clock_max_hz = *kilohertz * 1e3;
    }
    environment.turbo = read_turbo(root);

    environment.hypervisor = read_hypervisor(root, field("flags").value_or(""));
    environment.kernel = first_line(root / "proc/sys/kernel/osrelease");
    environment.operating_system = read_operating_system(root);
    environment.transparent_huge_pages =
        chosen_word(first_line(root / "sys/kernel/mm/transparent_hugepage/enabled"));
    environment.aslr = integer_of(first_line(root / "proc/sys/kernel/randomize_va_space"));
    if (auto const cpus_allowed = usable_cpus(); !cpus_allowed.empty()) {
        environment.affinity = cpu_list(cpus_allowed);
    }
    environment.cgroup_cpus = cpu_quota(root);
    if (auto const load = first_line(root / "proc/loadavg")) {
        environment.load_average = number_of(load->substr(0, load->find(' ')));
    }
    return environment;
}

std::string microarchitecture(Environment const& environment) {
    if (!environment.cpu_vendor || !environment.cpu_family || !environment.cpu_model) return {};
    for (auto const& known : architectures) {
        if (*environment.cpu_vendor == known.vendor && *environment.cpu_family == known.family &&
            *environment.cpu_model >= known.first_model &&
            *environment.cpu_model <= known.last_model) {
            return known.name;
        }
    }
    return {};
}

std::string hardware_id_of(Environment const& environment) {
    if (environment.gpu_name) {
        if (auto const name = plain_name(*environment.gpu_name); !name.empty()) return name;
    }
    auto const name = plain_name(environment.cpu_name.value_or(""));
    bool const guest = environment.hypervisor && *environment.hypervisor != "none";
    if (!guest) return name.empty() ? "unknown-cpu" : name;
    auto hypervisor =
        *environment.hypervisor == "unknown" ? std::string{"vm"} : *environment.hypervisor;
    std::ranges::transform(hypervisor, hypervisor.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    // A samples file may say anything.
    std::erase_if(hypervisor, [](unsigned char c) { return std::isalnum(c) == 0; });
    if (hypervisor.empty()) hypervisor = "vm";
    auto id = hypervisor + "-" + (name.empty() ? "unknown-cpu" : name);
    if (auto const architecture = microarchitecture(environment); !architecture.empty()) {
        id += "-" + architecture;
    }
    if (environment.logical_cpus) id += "-" + std::to_string(*environment.logical_cpus) + "c";
    return id;
}

bool may_be_named(Environment const& environment, std::string_view id,
                  std::string_view processor) {
    if (id == hardware_id_of(environment)) return true;
    auto const& own = environment.gpu_name ? environment.gpu_name : environment.cpu_name;
    if (!own || processor.empty() || *own != processor) return false;
    // An id made of the processor's name says more than the name: another hypervisor or CPU count.
    return id.find(plain_name(*own)) == id.npos;
}

}  // namespace derate
