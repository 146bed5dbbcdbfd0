#include "workloads/count_again.hpp"

#include <nlohmann/json.hpp>

#include "storage/file.hpp"
#include "storage/measurement_json.hpp"
#include "workloads/descriptor.hpp"
#include "workloads/partition.hpp"

namespace derate {
namespace {

/// Files of today's rule too: a count that was a fault then is none now.
bool is_counted_here(Condition const& condition) {
    return condition.flop_rule == "derate_1" || condition.flop_rule == flop_rule;
}

}  // namespace

Subgraph counted_again(Subgraph subgraph) {
    if (subgraph.descriptor.empty()) return subgraph;
    auto cut = partition(parse_descriptor(subgraph.descriptor));
    if (cut.subgraphs.size() != 1) return subgraph;
    auto& counted = cut.subgraphs.front().subgraph;
    subgraph.type = counted.type;
    subgraph.work = counted.work;
    subgraph.traffic = counted.traffic;
    if (counted.nodes.size() != subgraph.nodes.size()) return subgraph;
    for (std::size_t i = 0; i < subgraph.nodes.size(); ++i) {
        // A descriptor has no names.
        counted.nodes[i].name = std::move(subgraph.nodes[i].name);
        subgraph.nodes[i] = std::move(counted.nodes[i]);
    }
    return subgraph;
}

void count_again(Evidence& evidence) {
    if (!is_counted_here(evidence.condition)) return;
    for (auto& kernel : evidence.cases) kernel.subgraph = counted_again(std::move(kernel.subgraph));
    evidence.condition.flop_rule = flop_rule;
}

void count_again(Measurement& measurement) {
    if (!is_counted_here(measurement.condition)) return;
    for (auto& measured : measurement.subgraphs) {
        measured.subgraph = counted_again(std::move(measured.subgraph));
    }
    measurement.condition.flop_rule = flop_rule;
}

Measurement read_measurement(std::filesystem::path const& file) {
    auto measurement = measurement_from_json(read_json(file), file.string());
    count_again(measurement);
    return measurement;
}

}  // namespace derate
