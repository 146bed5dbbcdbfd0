#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cli/estimate_breakdown.hpp"
#include "cli/estimate_inputs.hpp"
#include "estimator/fallback_chain.hpp"
#include "workloads/unknown_work.hpp"

namespace derate::cli {

/// For a terminal: the latency with its interval, where both come from, the slowest subgraphs.
void print_estimate(ModelToPrice const& model, Target const& target, ChainEstimate const& estimate);

/// The same of one subgraph.
void print_explanation(ModelToPrice const& model, Explanation const& explanation);

/// What its maker found, in words, and the command that shows each rule; empty where nobody judged.
[[nodiscard]] std::string judgement_text(UsedCalibration const& used);

/// One sentence of what the table of operators does not know of the model; empty where it knows
/// all.
[[nodiscard]] std::string unknown_warning(UnknownWork const& unknown);
[[nodiscard]] nlohmann::json to_json(UnknownWork const& unknown);

/// As hardware_registry/schema/output_estimate_v1.json has it.
[[nodiscard]] nlohmann::json estimate_json(ModelToPrice const& model, Target const& target,
                                           ChainEstimate const& estimate);

/// Its "explanation".
[[nodiscard]] nlohmann::json explanation_json(Explanation const& explanation);

}  // namespace derate::cli
