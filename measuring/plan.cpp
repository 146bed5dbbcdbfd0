#include "measuring/plan.hpp"

#include <array>

namespace derate {

std::string_view to_string(StepKind kind) {
    switch (kind) {
        case StepKind::isolated:
            return "isolated";
        case StepKind::in_context:
            return "in_context";
        case StepKind::whole:
            return "whole";
        case StepKind::drift:
            return "drift";
    }
    return {};
}

std::string case_key(std::string_view descriptor, CacheState state, int threads,
                     std::string const& cpus, Precision precision, Allocator allocator) {
    return descriptor_hash(descriptor) + "/" + std::string{to_string(state)} + "/t" +
           std::to_string(threads) + (cpus.empty() ? "" : "@" + cpus) + "/" +
           std::string{to_string(precision)} +
           (allocator == Allocator::pinned ? "" : "/default_malloc");
}

std::string cpu_list(std::span<int const> cpus) {
    std::string text;
    for (std::size_t first = 0; first < cpus.size();) {
        auto last = first;
        while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
        if (!text.empty()) text += ",";
        text += std::to_string(cpus[first]);
        if (last > first) text += "-" + std::to_string(cpus[last]);
        first = last + 1;
    }
    return text;
}

}  // namespace derate
