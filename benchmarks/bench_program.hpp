#pragma once
#include <functional>
#include <memory>

#include "benchmarks/timing_device.hpp"
#include "core/precision.hpp"

namespace derate::benchmarks {

/// Makes the device that a program times on. \throws EnvironmentRefused  it is not there
using MakeDevice = std::function<std::unique_ptr<TimingDevice>(Precision)>;

/// Everything that derate-bench and derate-bench-cuda do; they differ in the device only.
/// \return  exit code: 0, 2 bad input, 4 environment refused
int bench_program(int argc, char** argv, MakeDevice const& make_device);

}  // namespace derate::benchmarks
