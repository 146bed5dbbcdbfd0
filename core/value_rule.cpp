#include "core/value_rule.hpp"

#include <algorithm>
#include <set>

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
    std::set<std::string_view> types;
    for (auto const& subgraph : subgraphs) {
        if (depends_on_values(subgraph)) types.insert(to_string(subgraph.type));
    }
    std::string listed;
    for (auto const type : types) listed.append(listed.empty() ? "" : ", ").append(type);
    return std::to_string(count) +
           (count == 1 ? " kernel's time (" : " kernels' times (") + listed +
           (count == 1 ? ") depends" : ") depend") + " on values, and " + calibration.hardware_id +
           " was timed by value rule " + std::string{first_value_rule} +
           ", where ids may be 0 and 1, and masks and maps under pools are noise";
}

}  // namespace derate
