#pragma once
#include "benchmarks/bench_flags.hpp"
#include "benchmarks/timing_device.hpp"

namespace derate::benchmarks {

/// Registers every distinct subgraph of the models, and the models themselves, as Google Benchmark
/// cases and runs those that its flags select.
/// \return  false when no case matched or one failed: Google Benchmark itself would not say
[[nodiscard]] bool run_standalone(BenchFlags const& flags, TimingDevice& device);

/// Peak rates as JSON on standard output: per probe the best rate, the median and the spread.
void print_peaks(BenchFlags const& flags, TimingDevice& device);

/// The libraries' part of the environment block as JSON on standard output.
void print_environment(TimingDevice& device);

}  // namespace derate::benchmarks
