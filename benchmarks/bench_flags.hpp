#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/allocator.hpp"
#include "core/measurement.hpp"
#include "core/precision.hpp"
#include "workloads/symbolic_program.hpp"

namespace derate::benchmarks {

/// What the command line of derate-bench asks for.
struct BenchFlags {
    bool help = false;
    // One launch of a campaign.
    std::optional<std::filesystem::path> plan{};
    std::optional<std::filesystem::path> samples{};
    bool progress = false;
    // On its own.
    bool peaks = false;
    bool environment = false;
    std::vector<std::string> models{};
    RequestedDimensions dimensions{};
    std::optional<Precision> precision{};
    int threads = 1;
    std::vector<int> cpus{};
    CacheState cache_state = CacheState::cold_all;
    Allocator allocator = Allocator::pinned;
    std::uint64_t seed = 0;
    std::vector<std::string> google_benchmark{};  ///< flags left for Google Benchmark
};

/// \throws InputError  an unknown flag (with the nearest known one), a missing or bad value, or
///                     nothing to do
[[nodiscard]] BenchFlags parse_bench_flags(int argc, char const* const* argv);

[[nodiscard]] std::string_view bench_help();

}  // namespace derate::benchmarks
