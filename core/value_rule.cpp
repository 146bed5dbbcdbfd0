#include "core/value_rule.hpp"

#include <set>

#include "core/format_quantity.hpp"

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
                                           std::span<Subgraph const> subgraphs,
                                           std::span<double const> latency_ms) {
    if (calibration.provenance.value_rule != first_value_rule) return std::nullopt;
    int count = 0;
    double total = 0;
    double depending = 0;
    std::set<std::string_view> types;
    for (std::size_t i = 0; i < subgraphs.size(); ++i) {
        total += latency_ms[i];
        if (!depends_on_values(subgraphs[i])) continue;
        ++count;
        depending += latency_ms[i];
        types.insert(to_string(subgraphs[i].type));
    }
    if (count == 0) return std::nullopt;
    std::string listed;
    for (auto const type : types) listed.append(type).append(", ");
    return std::to_string(count) + (count == 1 ? " kernel's time (" : " kernels' times (") +
           listed + format_significant(total > 0 ? 100 * depending / total : 0, 2) +
           " % of the whole" + (count == 1 ? ") depends" : ") depend") + " on values, and " +
           calibration.hardware_id + " was timed by value rule " + std::string{first_value_rule} +
           ", where ids may be 0 and 1, and masks and maps under pools are noise; `derate "
           "calibrate` "
           "on that machine times them anew.";
}

}  // namespace derate
