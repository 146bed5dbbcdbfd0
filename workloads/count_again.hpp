#pragma once
#include <filesystem>

#include "core/evidence.hpp"
#include "core/measurement.hpp"

namespace derate {

/// Counts work and traffic of derate's own files by the rule of today (`flop_rule`), whenever they
/// were written: the descriptor of a kernel says all that is counted. Operation type and attributes
/// are taken anew with them, times stay. Kernels without a descriptor, which only foreign files
/// have, and files of foreign rules stay as they are.
///
/// \throws InputError  a descriptor that is none
void count_again(Evidence& evidence);
void count_again(Measurement& measurement);

/// A measurement file as a model: its kernels, counted by the rule of today.
///
/// \throws InputError  not there, not readable, or not a valid measurement
[[nodiscard]] Measurement read_measurement(std::filesystem::path const& file);

/// The same for one kernel, whatever its counts.
[[nodiscard]] Subgraph counted_again(Subgraph subgraph);

}  // namespace derate
