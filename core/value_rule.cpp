#include "core/value_rule.hpp"

#include <algorithm>

namespace derate {

std::optional<std::string> unstated_value_rule(bool own) {
    return own ? std::optional{std::string{first_value_rule}} : std::nullopt;
}

bool depends_on_values(Subgraph const& subgraph) {
    // Inputs are declared before the first call.
    auto const& text = subgraph.descriptor;
    return text.substr(0, text.find(" | ")).find('~') != std::string::npos;
}

std::optional<std::string> value_rule_note(Calibration const& calibration,
                                           std::span<Subgraph const> subgraphs) {
    if (calibration.provenance.value_rule != first_value_rule) return std::nullopt;
    auto const count = std::ranges::count_if(subgraphs, depends_on_values);
    if (count == 0) return std::nullopt;
    return std::to_string(count) +
           (count == 1 ? " kernel's time depends" : " kernels' times depend") +
           " on values (ids, masks, maps under pools), and " + calibration.hardware_id +
           " was timed by value rule " + std::string{first_value_rule} +
           ", where ids may be 0 and 1";
}

}  // namespace derate
