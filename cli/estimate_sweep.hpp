#pragma once
#include "cli/commands.hpp"
#include "cli/estimate_inputs.hpp"

namespace derate::cli {

/// Prices a symbolic export at every combination of the values: a row each, as text, JSON or CSV.
///
/// \throws InputError  flags that do not go with a sweep, more than 100,000 rows, a size that the
///                     export refuses
[[nodiscard]] ExitCode estimate_sweep(EstimateFlags const& flags, CommonFlags const& common);

}  // namespace derate::cli
