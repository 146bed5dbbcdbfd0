#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/sweep.hpp"
#include "reports/plot.hpp"

namespace derate::cli {

/// "resnet50, FP32, on kvm-amd-epyc-zen5-2c".
[[nodiscard]] std::string sweep_title(Sweep const& sweep, Target const& target);

/// The table in letters; what is to be said of a row stands behind it.
[[nodiscard]] std::string sweep_text(Sweep const& sweep);

/// A sentence on the sizes that are refused: how many, and the first; empty where none is.
[[nodiscard]] std::string refused_text(Sweep const& sweep);

/// Two sentences on which sizes stay below the limit. \param sweep  with one
[[nodiscard]] std::string limit_text(Sweep const& sweep);

/// Latency with its band over the dimension of most values; a line for each combination of the
/// others.
[[nodiscard]] Plot sweep_plot(Sweep const& sweep, Target const& target);

/// As hardware_registry/schema/output_estimate_sweep_v1.json has it.
[[nodiscard]] nlohmann::json sweep_json(Sweep const& sweep, Target const& target);

/// \param has_head  the first line names the columns
[[nodiscard]] std::string sweep_csv(Sweep const& sweep, std::string const& hardware_id,
                                    bool has_head);

}  // namespace derate::cli
