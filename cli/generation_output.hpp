#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/generation.hpp"
#include "reports/plot.hpp"

namespace derate::cli {

/// "llama_small, FP32, on kvm-amd-epyc-zen5-2c".
[[nodiscard]] std::string generation_title(Generation const& all, Target const& target);

/// For a terminal: the times with their intervals, and a line each for some of the steps.
[[nodiscard]] std::string generation_text(Generation const& all);

/// The same times in sentences, for a page.
[[nodiscard]] std::vector<std::string> generation_sentences(Generation const& all);

/// Time of a step with its band over the keys that it attends to.
[[nodiscard]] Plot generation_plot(Generation const& all, Target const& target);

/// As hardware_registry/schema/output_generate_time_v1.json has it.
[[nodiscard]] nlohmann::json generation_json(Generation const& all, Target const& target);

/// A line for the prefill and for each priced step.
/// \param has_head  the first line names the columns
[[nodiscard]] std::string generation_csv(Generation const& all, std::string const& hardware_id,
                                         bool has_head);

}  // namespace derate::cli
