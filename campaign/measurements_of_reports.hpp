#pragma once
#include <span>
#include <string>
#include <vector>

#include "core/hardware.hpp"
#include "core/measurement.hpp"
#include "storage/benchmark_report.hpp"

namespace derate {

/// What derate-bench's reports of one campaign say, as measurements of its models.
struct ReportedMeasurements {
    std::vector<Measurement> measurements;
    std::vector<std::string> notes;  ///< what is left out and why, a line each
};

/// Each report is one launch, known by its own number, whatever else is given and in which order.
/// Work, traffic and nodes of a kernel follow from its descriptor.
///
/// A shipped model is the one of that name, batch and precision: all its subgraphs get the time of
/// their descriptor, so that sums of parts can be held against the whole. Of another model a report
/// does not say how often a kernel occurs in it: it becomes its distinct kernels, without its time
/// as a whole.
///
/// \param reports  one or more of equal `context_hash`, no launch twice
/// \throws InputError  another partition, or a descriptor that is no kernel
[[nodiscard]] ReportedMeasurements measurements_of_reports(std::span<BenchmarkReport const> reports,
                                                           Hardware const& hardware);

}  // namespace derate
